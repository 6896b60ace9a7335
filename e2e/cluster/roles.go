package main

import (
	"os"

	// Cron jobs with a time zone need the zone files; a small image has none.
	_ "time/tzdata"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"

	// The stock binaries register these for their log format and client metrics.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"

	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// role is one component of the control plane, run in the foreground of this process.
type role struct {
	run func(args []string) int
}

var roles = map[string]role{
	"etcd":               {runEtcd},
	"apiserver":          component("kube-apiserver", apiserver.NewAPIServerCommand),
	"controller-manager": component("kube-controller-manager", controllermanager.NewControllerManagerCommand),
	"scheduler":          component("kube-scheduler", newScheduler),
}

// newScheduler is the stock scheduler: no plugins besides its own.
func newScheduler() *cobra.Command { return scheduler.NewSchedulerCommand() }

// component wraps the command of a stock binary under that binary's own name. The name matters:
// clients derive their user agent from it, and the API server derives the field manager of
// writes without one from the user agent, so managedFields and audit lines read as usual.
func component(binary string, newCommand func() *cobra.Command) role {
	return role{run: func(args []string) int {
		os.Args[0] = binary
		cmd := newCommand()
		cmd.SetArgs(args)
		return cli.Run(cmd)
	}}
}
