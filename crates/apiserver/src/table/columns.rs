//! Column definitions of built-in kinds.

use super::render::Column;

const fn col(name: &'static str) -> Column {
    Column {
        name,
        kind: "string",
        format: "",
        priority: 0,
    }
}

const fn int(name: &'static str) -> Column {
    Column {
        name,
        kind: "integer",
        format: "",
        priority: 0,
    }
}

const fn flag(name: &'static str) -> Column {
    Column {
        name,
        kind: "boolean",
        format: "",
        priority: 0,
    }
}

const fn wide(name: &'static str) -> Column {
    Column {
        name,
        kind: "string",
        format: "",
        priority: 1,
    }
}

const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    priority: 0,
};
const AGE: Column = col("Age");
const CONTAINERS: Column = wide("Containers");
const IMAGES: Column = wide("Images");
const SELECTOR: Column = wide("Selector");

/// Of what keeps a number of pods of one template.
const OF_REPLICAS: [Column; 8] = [
    NAME,
    int("Desired"),
    int("Current"),
    int("Ready"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// Group, plural, columns.
type Row = (&'static str, &'static str, &'static [Column]);

const ROWS: &[Row] = &[
    (
        "",
        "pods",
        &[
            NAME,
            col("Ready"),
            col("Status"),
            col("Restarts"),
            AGE,
            wide("IP"),
            wide("Node"),
            wide("Nominated Node"),
            wide("Readiness Gates"),
        ],
    ),
    (
        "",
        "podtemplates",
        &[NAME, col("Containers"), col("Images"), col("Pod Labels")],
    ),
    ("", "replicationcontrollers", &OF_REPLICAS),
    (
        "policy",
        "poddisruptionbudgets",
        &[
            NAME,
            col("Min Available"),
            col("Max Unavailable"),
            int("Allowed Disruptions"),
            AGE,
        ],
    ),
    ("apps", "replicasets", &OF_REPLICAS),
    (
        "apps",
        "daemonsets",
        &[
            NAME,
            int("Desired"),
            int("Current"),
            int("Ready"),
            int("Up-to-date"),
            int("Available"),
            col("Node Selector"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        "apps",
        "deployments",
        &[
            NAME,
            col("Ready"),
            col("Up-to-date"),
            col("Available"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        "apps",
        "statefulsets",
        &[NAME, col("Ready"), AGE, CONTAINERS, IMAGES],
    ),
    (
        "apps",
        "controllerrevisions",
        &[NAME, col("Controller"), col("Revision"), AGE],
    ),
    (
        "batch",
        "jobs",
        &[
            NAME,
            col("Status"),
            col("Completions"),
            col("Duration"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        "batch",
        "cronjobs",
        &[
            NAME,
            col("Schedule"),
            col("Timezone"),
            flag("Suspend"),
            int("Active"),
            col("Last Schedule"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        "",
        "services",
        &[
            NAME,
            col("Type"),
            col("Cluster-IP"),
            col("External-IP"),
            col("Port(s)"),
            AGE,
            SELECTOR,
        ],
    ),
    (
        "networking.k8s.io",
        "ingresses",
        &[
            NAME,
            col("Class"),
            col("Hosts"),
            col("Address"),
            col("Ports"),
            AGE,
        ],
    ),
    (
        "networking.k8s.io",
        "ingressclasses",
        &[NAME, col("Controller"), col("Parameters"), AGE],
    ),
    (
        "networking.k8s.io",
        "networkpolicies",
        &[NAME, col("Pod-Selector"), AGE],
    ),
    (
        "networking.k8s.io",
        "servicecidrs",
        &[NAME, col("CIDRs"), AGE],
    ),
    (
        "networking.k8s.io",
        "ipaddresses",
        &[NAME, col("ParentRef")],
    ),
    ("", "endpoints", &[NAME, col("Endpoints"), AGE]),
    (
        "discovery.k8s.io",
        "endpointslices",
        &[
            NAME,
            col("AddressType"),
            col("Ports"),
            col("Endpoints"),
            AGE,
        ],
    ),
    (
        "",
        "nodes",
        &[
            NAME,
            col("Status"),
            col("Roles"),
            AGE,
            col("Version"),
            wide("Internal-IP"),
            wide("External-IP"),
            wide("OS-Image"),
            wide("Kernel-Version"),
            wide("Container-Runtime"),
        ],
    ),
    (
        "",
        "events",
        &[
            col("Last Seen"),
            col("Type"),
            col("Reason"),
            col("Object"),
            wide("Subobject"),
            wide("Source"),
            col("Message"),
            wide("First Seen"),
            wide("Count"),
            Column {
                name: "Name",
                kind: "string",
                format: "name",
                priority: 1,
            },
        ],
    ),
    (
        "events.k8s.io",
        "events",
        &[
            col("Last Seen"),
            col("Type"),
            col("Reason"),
            col("Object"),
            wide("Subobject"),
            wide("Source"),
            col("Message"),
            wide("First Seen"),
            wide("Count"),
            Column {
                name: "Name",
                kind: "string",
                format: "name",
                priority: 1,
            },
        ],
    ),
    ("", "namespaces", &[NAME, col("Status"), AGE]),
    ("", "secrets", &[NAME, col("Type"), col("Data"), AGE]),
    ("", "configmaps", &[NAME, col("Data"), AGE]),
    ("", "serviceaccounts", &[NAME, col("Secrets"), AGE]),
    (
        "",
        "persistentvolumes",
        &[
            NAME,
            col("Capacity"),
            col("Access Modes"),
            col("Reclaim Policy"),
            col("Status"),
            col("Claim"),
            col("StorageClass"),
            col("VolumeAttributesClass"),
            col("Reason"),
            AGE,
            wide("VolumeMode"),
        ],
    ),
    (
        "",
        "persistentvolumeclaims",
        &[
            NAME,
            col("Status"),
            col("Volume"),
            col("Capacity"),
            col("Access Modes"),
            col("StorageClass"),
            col("VolumeAttributesClass"),
            AGE,
            wide("VolumeMode"),
        ],
    ),
    (
        "",
        "resourcequotas",
        &[NAME, col("Request"), col("Limit"), AGE],
    ),
    (
        "autoscaling",
        "horizontalpodautoscalers",
        &[
            NAME,
            col("Reference"),
            col("Targets"),
            col("MinPods"),
            col("MaxPods"),
            col("Replicas"),
            AGE,
        ],
    ),
    (
        "rbac.authorization.k8s.io",
        "rolebindings",
        &[
            NAME,
            col("Role"),
            AGE,
            wide("Users"),
            wide("Groups"),
            wide("ServiceAccounts"),
        ],
    ),
    (
        "rbac.authorization.k8s.io",
        "clusterrolebindings",
        &[
            NAME,
            col("Role"),
            AGE,
            wide("Users"),
            wide("Groups"),
            wide("ServiceAccounts"),
        ],
    ),
    ("coordination.k8s.io", "leases", &[NAME, col("Holder"), AGE]),
    (
        "storage.k8s.io",
        "storageclasses",
        &[
            NAME,
            col("Provisioner"),
            col("ReclaimPolicy"),
            col("VolumeBindingMode"),
            col("AllowVolumeExpansion"),
            AGE,
        ],
    ),
    (
        "scheduling.k8s.io",
        "priorityclasses",
        &[
            NAME,
            int("Value"),
            flag("Global-Default"),
            AGE,
            col("PreemptionPolicy"),
        ],
    ),
];

const OTHERS: &[Column] = &[
    NAME,
    Column {
        name: "Created At",
        kind: "date",
        format: "",
        priority: 0,
    },
];

/// What the table of a kind shows; kinds without a printer show name and creation time.
pub(super) fn of(group: &str, plural: &str) -> &'static [Column] {
    let row = ROWS
        .iter()
        .find(|(of, name, _)| *of == group && *name == plural);
    row.map_or(OTHERS, |(_, _, columns)| columns)
}
