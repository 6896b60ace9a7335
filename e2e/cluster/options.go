package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// options is the command line of `cluster up`.
type options struct {
	files            layout
	advertiseAddress string
	bindAddress      string
	port             int
	etcdPort         int
	serviceCIDR      string
	users            []user
	restartDelay     time.Duration
	readyTimeout     time.Duration

	apiserverExtra         []string
	controllerManagerExtra []string
	schedulerExtra         []string
}

// parseOptions returns flag.ErrHelp when the help was asked for and printed.
func parseOptions(args []string) (options, error) {
	o := options{users: builtinUsers()}
	flags := flag.NewFlagSet("cluster up", flag.ContinueOnError)
	dir := flags.String("dir", "", "directory for data, keys, kubeconfigs, logs and pids (required)")
	flags.StringVar(&o.advertiseAddress, "advertise-address", "10.244.255.1",
		"address behind the service kubernetes; the API server refuses loopback")
	flags.StringVar(&o.bindAddress, "bind-address", "127.0.0.1",
		"address the API server listens on; 0.0.0.0 in a network namespace, so that pods reach it")
	flags.IntVar(&o.port, "port", 6443, "port of the API server")
	flags.IntVar(&o.etcdPort, "etcd-port", 2379, "port of etcd; the one after it is taken too")
	flags.StringVar(&o.serviceCIDR, "service-cidr", "10.96.0.0/16", "range of cluster IPs")
	flags.DurationVar(&o.restartDelay, "restart-delay", 500*time.Millisecond,
		"pause before a role that ended is started again")
	flags.DurationVar(&o.readyTimeout, "ready-timeout", 2*time.Minute, "give up when not ready by then")
	flags.Func("user", "another user, as `NAME[=GROUP,...]`: gets a token and DIR/NAME.kubeconfig (repeatable)",
		func(arg string) error {
			u, err := parseUser(arg)
			o.users = append(o.users, u)
			return err
		})
	extra := func(into *[]string) func(string) error {
		return func(arg string) error {
			*into = append(*into, arg)
			return nil
		}
	}
	flags.Func("apiserver", "another `FLAG` for kube-apiserver, e.g. --apiserver=--v=4 (repeatable)",
		extra(&o.apiserverExtra))
	flags.Func("controller-manager", "another `FLAG` for kube-controller-manager (repeatable)",
		extra(&o.controllerManagerExtra))
	flags.Func("scheduler", "another `FLAG` for kube-scheduler (repeatable)", extra(&o.schedulerExtra))
	if err := parseFlags(flags, args); err != nil {
		return o, err
	}
	return o, o.check(*dir, flags.Args())
}

// parseFlags prints the help when it is asked for, and only then: after a wrong flag it would push
// the message off the screen.
func parseFlags(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, flag.ErrHelp):
		fmt.Printf("usage: %s [flags]\n", flags.Name())
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		return err
	default:
		return usageError{fmt.Sprintf("%v (%s --help lists the flags)", err, flags.Name())}
	}
}

// check refuses what would only fail later and less clearly.
func (o *options) check(dir string, rest []string) error {
	if len(rest) > 0 {
		return usageError{fmt.Sprintf("unexpected argument %q", rest[0])}
	}
	if dir == "" {
		return usageError{"--dir is missing: give a directory that the cluster may fill"}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	o.files = layout{dir}
	advertised := net.ParseIP(o.advertiseAddress)
	if advertised == nil || advertised.IsLoopback() || advertised.IsUnspecified() {
		return usageError{fmt.Sprintf("--advertise-address %s: want an IP address other than loopback",
			o.advertiseAddress)}
	}
	if net.ParseIP(o.bindAddress) == nil {
		return usageError{fmt.Sprintf("--bind-address %s: want an IP address", o.bindAddress)}
	}
	if _, _, err := net.ParseCIDR(o.serviceCIDR); err != nil {
		return usageError{fmt.Sprintf("--service-cidr: %v", err)}
	}
	seen := map[string]bool{}
	for _, u := range o.users {
		if seen[u.fileName()] {
			return usageError{fmt.Sprintf("--user %s: there is one of that name already", u.fileName())}
		}
		seen[u.fileName()] = true
	}
	return nil
}

// server is the URL in the kubeconfigs.
func (o options) server() string {
	host := o.bindAddress
	if net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, fmt.Sprint(o.port))
}

// addresses are those that the API server's certificate is good for.
func (o options) addresses() ([]net.IP, error) {
	_, services, err := net.ParseCIDR(o.serviceCIDR)
	if err != nil {
		return nil, err
	}
	// The first address of the range is the cluster IP of the service `kubernetes`.
	first := append(net.IP(nil), services.IP...)
	first[len(first)-1]++
	return []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, first,
		net.ParseIP(o.advertiseAddress), net.ParseIP(o.bindAddress)}, nil
}
