package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// maxEarlyEnds is how often roles may end before the cluster was ready once; after that
// something is wrong that another start won't mend.
const maxEarlyEnds = 3

// up runs the control plane until SIGTERM or SIGINT.
func up(args []string) error {
	started := time.Now()
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	// From here on a signal is a request to stop in order, whatever is going on.
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()

	lock, err := o.files.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := writePid(o.files.pid("cluster"), os.Getpid()); err != nil {
		return err
	}
	defer os.Remove(o.files.pid("cluster"))
	if err := prepare(o); err != nil {
		return err
	}

	plane := &plane{options: o, failed: make(chan error, 16)}
	defer plane.stop()
	if err := plane.bringUp(ctx); err != nil {
		if ctx.Err() != nil {
			say("told to stop before it was ready")
			return nil
		}
		return err
	}
	say("ready after %.1fs", time.Since(started).Seconds())
	say("export KUBECONFIG=%s", o.files.kubeconfig("admin"))
	<-ctx.Done()
	return nil
}

// prepare makes sure of the ports and writes what the roles read.
func prepare(o options) error {
	for _, port := range []int{o.etcdPort, o.etcdPort + 1} {
		if err := free("127.0.0.1", port, "--etcd-port"); err != nil {
			return err
		}
	}
	if err := free(o.bindAddress, o.port, "--port"); err != nil {
		return err
	}
	addresses, err := o.addresses()
	if err != nil {
		return err
	}
	if err := writeKeys(o.files, addresses); err != nil {
		return err
	}
	if err := writeUsers(o.files, o.users, o.server()); err != nil {
		return err
	}
	return writeFile(o.files.auditPolicy(), []byte(auditPolicy), 0o644)
}

// plane is the set of roles that run, in the order they were started.
type plane struct {
	options
	children []*child
	failed   chan error
}

// bringUp starts the roles in the order in which they need each other, and returns once pods can
// be made: the API server is ready, and the controllers have made the default service account.
func (p *plane) bringUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.readyTimeout,
		fmt.Errorf("not ready after %s (%s/*.log say why)", p.readyTimeout, p.files.dir))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() {
		for ends := 1; ; ends++ {
			select {
			case err := <-p.failed:
				if ends == maxEarlyEnds {
					fail(err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()

	prober, err := newProber(p.options)
	if err != nil {
		return err
	}
	p.launch(ctx, "etcd", etcdArgs(p.options))
	if err := until(ctx, func(ctx context.Context) error { return listening(ctx, p.etcdPort) }); err != nil {
		return err
	}
	p.launch(ctx, "apiserver", apiserverArgs(p.options))
	if err := until(ctx, func(ctx context.Context) error { return prober.get(ctx, "/readyz") }); err != nil {
		return err
	}
	// Not earlier: they would take the processor from the API server, and back off from its errors.
	p.launch(ctx, "controller-manager", controllerManagerArgs(p.options))
	p.launch(ctx, "scheduler", schedulerArgs(p.options))
	return until(ctx, func(ctx context.Context) error {
		return prober.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
	})
}

func (p *plane) launch(ctx context.Context, name string, args []string) {
	c := &child{name: name, args: args, files: p.files, delay: p.restartDelay}
	c.start(ctx, p.failed)
	p.children = append(p.children, c)
}

// stop ends the roles in reverse: none loses what it needs to end well, and the API server can
// still take its address out of the service `kubernetes`.
func (p *plane) stop() {
	// A test may have paused one, and those before it in the order would wait for it.
	for _, c := range p.children {
		c.signal(syscall.SIGCONT)
	}
	for _, c := range slices.Backward(p.children) {
		c.stop()
	}
	say("stopped")
}

// say writes a line for whoever watches the supervisor.
func say(format string, args ...any) {
	fmt.Printf(format+"\n", args...)
}
