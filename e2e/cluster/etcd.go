package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdStartLimit is far above what a start takes (under a second), and short enough to be told early.
const etcdStartLimit = 60 * time.Second

// runEtcd runs a single-member etcd until SIGTERM and returns the exit code.
func runEtcd(args []string) int {
	os.Args[0] = "etcd"
	if err := etcd(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		fmt.Fprintf(os.Stderr, "etcd: %v\n", err)
		return 1
	}
	return 0
}

func etcd(args []string) error {
	flags := flag.NewFlagSet("cluster etcd", flag.ContinueOnError)
	dataDir := flags.String("data-dir", "", "directory of the database (required)")
	port := flags.Int("port", 2379, "port for clients; the one after it is taken for peers")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if *dataDir == "" {
		return usageError{"--data-dir is missing: give the directory of the database"}
	}

	server, err := embed.StartEtcd(etcdConfig(*dataDir, *port))
	if err != nil {
		return fmt.Errorf("can't start on port %d with data in %s (is another one running on them?): %w",
			*port, *dataDir, err)
	}
	defer server.Close()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-server.Server.ReadyNotify():
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	case <-time.After(etcdStartLimit):
		return fmt.Errorf("not ready after %s: the lines above say why", etcdStartLimit)
	}
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}

func etcdConfig(dataDir string, port int) *embed.Config {
	clients, peers := []url.URL{loopback(port)}, []url.URL{loopback(port + 1)}
	cfg := embed.NewConfig()
	cfg.Name = "cluster"
	cfg.Dir = dataDir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = clients, clients
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = peers, peers
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.LogLevel = "warn"
	// Only etcd's own command line sets this default; embedded, it is 0 and logs every request.
	cfg.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	cfg.LogOutputs = []string{"stderr"}
	// A killed process loses nothing without fsync, only a crashed machine does, and a test
	// cluster does not outlive its machine. Slow disks then no longer set the pace.
	cfg.UnsafeNoFsync = true
	// As kubeadm sets it: the API server's watch cache learns this often how far it is.
	cfg.WatchProgressNotifyInterval = 5 * time.Second
	// The largest quota etcd recommends; the default of 2 GiB is within reach of a long soak.
	cfg.QuotaBackendBytes = 8 << 30
	return cfg
}

func loopback(port int) url.URL {
	return url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
}
