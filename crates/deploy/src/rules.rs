//! Which rights the code needs, and what for. A test of the whole controller on the embedded
//! cluster holds what it asks for against this table.

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the controller's own namespace.
    Own,
    /// In every namespace that it looks after.
    Watched,
    /// In the cluster; a controller of one namespace does without.
    Cluster,
}

/// One right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub place: Place,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Resources, subresources as `resource/part`.
    pub resources: &'static [&'static str],
    pub verbs: &'static [&'static str],
    pub why: &'static str,
}

const fn rule(
    place: Place,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Rule {
    Rule {
        place,
        group,
        resources,
        verbs,
        why,
    }
}

use Place::{Cluster, Own, Watched};

const READ: &[&str] = &["list", "watch"];
const WRITE: &[&str] = &["list", "watch", "create", "patch", "delete"];
const ARGO: &str = "argoproj.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// What Rollouts, analysis and Applications need, whatever they deploy.
pub const RULES: &[Rule] = &[
    rule(
        Own,
        "coordination.k8s.io",
        &["leases"],
        &["get", "create", "update"],
        "leader election",
    ),
    rule(
        Watched,
        ARGO,
        &["rollouts"],
        &["list", "watch", "patch"],
        "revisions, replicas",
    ),
    rule(
        Watched,
        ARGO,
        &["rollouts/status"],
        &["patch"],
        "where a Rollout stands",
    ),
    rule(
        Watched,
        ARGO,
        &[
            "rollouts/finalizers",
            "analysisruns/finalizers",
            "experiments/finalizers",
        ],
        &["update"],
        "owner references, where the API server checks them",
    ),
    rule(Watched, ARGO, &["analysisruns"], WRITE, "analysis runs"),
    rule(
        Watched,
        ARGO,
        &["analysistemplates"],
        READ,
        "analysis templates",
    ),
    rule(
        Watched,
        ARGO,
        &["experiments"],
        WRITE,
        "experiment steps, and where Experiments stand",
    ),
    rule(
        Watched,
        ARGO,
        &["applications"],
        &["list", "watch", "patch"],
        "Applications and where they stand",
    ),
    rule(
        Watched,
        ARGO,
        &["appprojects"],
        &["list", "watch", "patch"],
        "what Applications may do; the finalizer of one that is deleted",
    ),
    rule(
        Watched,
        "apps",
        &["replicasets"],
        WRITE,
        "the versions of a Rollout",
    ),
    rule(
        Watched,
        "apps",
        &["deployments"],
        &["list", "watch", "patch"],
        "workloadRef",
    ),
    rule(Watched, "", &["podtemplates"], READ, "workloadRef"),
    rule(
        Watched,
        "",
        &["services"],
        WRITE,
        "selectors of services, services of experiments",
    ),
    rule(
        Watched,
        "",
        &["pods"],
        &["list", "watch", "patch"],
        "metadata of the arms, the provider pods",
    ),
    rule(Watched, "", &["pods/eviction"], &["create"], "restartAt"),
    rule(
        Watched,
        "batch",
        &["jobs"],
        &["list", "watch", "create", "delete"],
        "the metric provider job",
    ),
    rule(
        Watched,
        "networking.k8s.io",
        &["ingresses"],
        WRITE,
        "weights of NGINX",
    ),
    rule(Watched, "", &["events"], &["create", "patch"], "events"),
    rule(
        Watched,
        "",
        &["secrets"],
        &["get"],
        "arguments of analysis that come from Secrets",
    ),
    rule(
        Watched,
        GATEWAY,
        &["httproutes", "grpcroutes", "tcproutes", "tlsroutes"],
        &["list", "watch", "patch"],
        "weights of routes",
    ),
    rule(
        Cluster,
        ARGO,
        &["clusteranalysistemplates"],
        READ,
        "analysis templates of the cluster",
    ),
    rule(
        Cluster,
        "",
        &["namespaces"],
        READ,
        "namespaces of Applications",
    ),
];

/// What Applications may deploy, unless more is granted: ClusterRoles with the label
/// `weir.dev/aggregate-to-gitops: "true"` add to it.
pub const GITOPS: &[Rule] = &[
    rule(
        Watched,
        "",
        &[
            "configmaps",
            "persistentvolumeclaims",
            "serviceaccounts",
            "services",
        ],
        WRITE,
        "objects of Applications",
    ),
    rule(
        Watched,
        "apps",
        &["daemonsets", "deployments", "statefulsets"],
        WRITE,
        "objects of Applications",
    ),
    rule(
        Watched,
        "batch",
        &["cronjobs", "jobs"],
        WRITE,
        "objects of Applications",
    ),
    rule(
        Watched,
        "autoscaling",
        &["horizontalpodautoscalers"],
        WRITE,
        "objects of Applications",
    ),
    rule(
        Watched,
        "policy",
        &["poddisruptionbudgets"],
        WRITE,
        "objects of Applications",
    ),
    rule(
        Watched,
        "networking.k8s.io",
        &["ingresses", "networkpolicies"],
        WRITE,
        "objects of Applications",
    ),
    rule(
        Watched,
        GATEWAY,
        &["grpcroutes", "httproutes"],
        WRITE,
        "objects of Applications",
    ),
    rule(
        Watched,
        ARGO,
        &["analysistemplates", "experiments", "rollouts"],
        WRITE,
        "objects of Applications",
    ),
    rule(
        Cluster,
        ARGO,
        &["clusteranalysistemplates"],
        WRITE,
        "objects of Applications",
    ),
    rule(
        Cluster,
        "",
        &["namespaces"],
        &["list", "watch", "create", "patch"],
        "CreateNamespace=true",
    ),
];

impl Rule {
    /// Whether only Applications need it, of [`RULES`].
    pub fn is_of_gitops(&self) -> bool {
        matches!(
            self.resources,
            ["applications" | "appprojects" | "namespaces"]
        )
    }

    /// Whether it allows a request.
    pub fn allows(&self, group: &str, resource: &str, verb: &str) -> bool {
        self.group == group && self.resources.contains(&resource) && self.verbs.contains(&verb)
    }
}
