// Cluster is a Kubernetes control plane without containers: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler are linked into one program as libraries, and each
// runs as a process of its own, so that a test can kill, stop and restart any of them the way it
// would on a real machine.
//
//	cluster up --dir DIR          the whole control plane, supervised until SIGTERM
//	cluster ROLE flags            one role: etcd, apiserver, controller-manager or scheduler
//
// What the roles do not bring is a node: no kubelet, no kube-proxy, no network. Whoever uses the
// cluster plays the kubelet through the API.
package main

import (
	"errors"
	"fmt"
	"os"
)

const usage = `usage: cluster up --dir DIR [flags]         run the control plane until SIGTERM
       cluster etcd [flags]                 run one role in the foreground
       cluster apiserver|controller-manager|scheduler [flags]
                                            the same, with the flags of kube-apiserver,
                                            kube-controller-manager and kube-scheduler
"cluster up --help" and "cluster ROLE --help" list the flags.
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	name, args := os.Args[1], os.Args[2:]
	switch name {
	case "up":
		exit(up(args))
	case "help", "-h", "--help":
		fmt.Print(usage)
	default:
		if role, ok := roles[name]; ok {
			os.Exit(role.run(args))
		}
		fmt.Fprintf(os.Stderr, "cluster: unknown command %q\n%s", name, usage)
		os.Exit(2)
	}
}

// exit ends the program: 0 without an error, 2 for wrong flags, 1 for anything that went wrong.
func exit(err error) {
	var bad usageError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &bad):
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		os.Exit(1)
	}
}

// usageError is an error of the caller's command line.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }
