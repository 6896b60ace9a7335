package main

import "fmt"

// auditPolicy logs each request once, when it is answered: enough to count requests by user
// agent, verb and resource, without bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// disabledControllers are those that need a cloud, or nodes with a real kubelet behind them: the
// node controllers would taint and evict a made-up node whose lease nobody renews.
const disabledControllers = "*,-nodeipam,-node-lifecycle-controller,-taint-eviction-controller," +
	"-cloud-node-lifecycle-controller,-service-lb-controller,-node-route-controller"

// controllersQPS lifts the controllers' client-side limit. The stock 20 requests/s per client
// would measure the limit instead of what runs on the cluster.
const controllersQPS = 2000

func etcdArgs(o options) []string {
	return []string{
		"--data-dir=" + o.files.etcdData(),
		fmt.Sprintf("--port=%d", o.etcdPort),
	}
}

func apiserverArgs(o options) []string {
	l := o.files
	return append([]string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", o.etcdPort),
		"--bind-address=" + o.bindAddress,
		fmt.Sprintf("--secure-port=%d", o.port),
		// Needed where there is no default route to guess it from, as in a network namespace.
		"--advertise-address=" + o.advertiseAddress,
		"--service-cluster-ip-range=" + o.serviceCIDR,
		"--tls-cert-file=" + l.servingCert(),
		"--tls-private-key-file=" + l.servingKey(),
		"--client-ca-file=" + l.caCert(),
		"--token-auth-file=" + l.tokens(),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + l.saKey(),
		"--service-account-signing-key-file=" + l.saKey(),
		"--allow-privileged=true",
		// Without it, watches are not told of a shutdown, and SIGTERM takes effect after a minute.
		"--shutdown-watch-termination-grace-period=1s",
		"--audit-policy-file=" + l.auditPolicy(),
		"--audit-log-path=" + l.auditLog(),
		// Megabytes until the log is rotated. Who counts requests wants one file.
		"--audit-log-maxsize=16384",
	}, o.apiserverExtra...)
}

func controllerManagerArgs(o options) []string {
	l := o.files
	return append([]string{
		"--kubeconfig=" + l.kubeconfig("controller-manager"),
		"--controllers=" + disabledControllers,
		"--leader-elect=false",
		// Each controller under its own service account and its own role, as kubeadm has it.
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + l.saKey(),
		"--root-ca-file=" + l.caCert(),
		"--cluster-signing-cert-file=" + l.caCert(),
		"--cluster-signing-key-file=" + l.caKey(),
		fmt.Sprintf("--kube-api-qps=%d", controllersQPS),
		fmt.Sprintf("--kube-api-burst=%d", 2*controllersQPS),
		// Nobody asks it anything, and a port less is a port less to collide on.
		"--secure-port=0",
	}, o.controllerManagerExtra...)
}

func schedulerArgs(o options) []string {
	return append([]string{
		"--kubeconfig=" + o.files.kubeconfig("scheduler"),
		"--leader-elect=false",
		fmt.Sprintf("--kube-api-qps=%d", controllersQPS),
		fmt.Sprintf("--kube-api-burst=%d", 2*controllersQPS),
		"--secure-port=0",
	}, o.schedulerExtra...)
}
