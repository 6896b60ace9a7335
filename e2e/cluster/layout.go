package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// layout names the files of one cluster; everything it keeps is below one directory.
type layout struct{ dir string }

func (l layout) file(name string) string { return filepath.Join(l.dir, name) }

func (l layout) etcdData() string    { return l.file("etcd") }
func (l layout) caCert() string      { return l.file("pki/ca.crt") }
func (l layout) caKey() string       { return l.file("pki/ca.key") }
func (l layout) servingCert() string { return l.file("pki/apiserver.crt") }
func (l layout) servingKey() string  { return l.file("pki/apiserver.key") }
func (l layout) saKey() string       { return l.file("pki/service-account.key") }
func (l layout) tokens() string      { return l.file("tokens.csv") }
func (l layout) auditPolicy() string { return l.file("audit-policy.yaml") }
func (l layout) auditLog() string    { return l.file("audit.log") }

func (l layout) kubeconfig(user string) string { return l.file(user + ".kubeconfig") }
func (l layout) log(name string) string        { return l.file(name + ".log") }
func (l layout) pid(name string) string        { return l.file(name + ".pid") }

// hold is a file whose presence keeps a role from being started again.
func (l layout) hold(name string) string { return l.file(name + ".hold") }

// lock takes the directory for this process. The lock goes with the process, however it ends.
func (l layout) lock() (*os.File, error) {
	if err := os.MkdirAll(l.file("pki"), 0o700); err != nil {
		return nil, fmt.Errorf("can't make the cluster's directory, give another --dir: %w", err)
	}
	path := l.file("lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("can't take the cluster's directory, give another --dir: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by process %s: stop that one or give another --dir",
			l.dir, readPid(l.pid("cluster")))
	}
	return f, nil
}

// writePid writes a pid so that a reader never sees half of it.
func writePid(path string, pid int) error {
	return writeFile(path, []byte(strconv.Itoa(pid)+"\n"), 0o644)
}

func readPid(path string) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return "unknown"
	}
	return string(data[:len(data)-1])
}

// writeFile replaces a file in one step: a half-written key or kubeconfig would be believed.
func writeFile(path string, data []byte, mode os.FileMode) error {
	part := path + ".part"
	if err := os.WriteFile(part, data, mode); err != nil {
		return fmt.Errorf("can't write %s: %w", path, err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("can't write %s: %w", path, err)
	}
	return nil
}
