//! Flags of the peer that have no meaning here. They are accepted, so that its command line goes on
//! working, and told of at the start.

use clap::Args;
use cli::Switch;

/// Flags of the peer that have no meaning here: accepted, so that its command line goes on working,
/// and told of at the start.
#[derive(Debug, Default, Args)]
pub struct PeerArgs {
    #[arg(long, hide = true)]
    pub qps: Option<f64>,
    #[arg(long, hide = true)]
    pub burst: Option<i64>,
    #[arg(long, hide = true)]
    pub kloglevel: Option<i64>,
    #[arg(long, hide = true)]
    pub experiment_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub analysis_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub service_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub ingress_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub ephemeral_metadata_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub ephemeral_metadata_update_pod_retries: Option<u16>,
    #[arg(long, hide = true)]
    pub enable_pprof_address: Option<String>,
}

impl PeerArgs {
    /// Each flag that was given, and why it does nothing.
    pub fn without_meaning(&self) -> Vec<(&'static str, &'static str)> {
        const UNLIMITED: &str = "the API server's priority and fairness is the only limit";
        const ONE_POOL: &str = "all kinds share the workers of --rollout-threads";
        const REPLANNED: &str = "metadata that could not be written is planned again";
        let flags = [
            ("--qps", self.qps.is_some(), UNLIMITED),
            ("--burst", self.burst.is_some(), UNLIMITED),
            (
                "--kloglevel",
                self.kloglevel.is_some(),
                "there is one log: see --loglevel",
            ),
            (
                "--experiment-threads",
                self.experiment_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--analysis-threads",
                self.analysis_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--service-threads",
                self.service_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--ingress-threads",
                self.ingress_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--ephemeral-metadata-threads",
                self.ephemeral_metadata_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--ephemeral-metadata-update-pod-retries",
                self.ephemeral_metadata_update_pod_retries.is_some(),
                REPLANNED,
            ),
            (
                "--enable-pprof-address",
                self.enable_pprof_address.is_some(),
                "there is no Go profiler",
            ),
        ];
        let given = flags.into_iter().filter(|(_, is_given, _)| *is_given);
        given.map(|(flag, _, why)| (flag, why)).collect()
    }
}

/// Flags of the peer about routers and notifications that are not here: as [`PeerArgs`].
#[derive(Debug, Default, Args)]
pub struct PeerRouterArgs {
    #[arg(long, hide = true, switch = None)]
    pub aws_verify_target_group: Option<bool>,
    #[arg(long, hide = true, switch = None)]
    pub alb_verify_weight: Option<bool>,
    #[arg(long, hide = true, switch = None)]
    pub self_service_notification_enabled: Option<bool>,
    #[arg(long, hide = true)]
    pub aws_target_group_binding_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub alb_tag_key_resource_id: Option<String>,
    #[arg(long, hide = true, value_delimiter = ',')]
    pub alb_ingress_classes: Vec<String>,
    #[arg(long, hide = true, value_delimiter = ',')]
    pub nginx_ingress_classes: Vec<String>,
    #[arg(long, hide = true)]
    pub istio_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub ambassador_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub traffic_split_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub traefik_api_group: Option<String>,
    #[arg(long, hide = true)]
    pub traefik_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub ingress_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub appmesh_crd_version: Option<String>,
}

impl PeerRouterArgs {
    /// Each flag that was given, and why it does nothing.
    pub fn without_meaning(&self) -> Vec<(&'static str, &'static str)> {
        const ALB: &str = "there is no router for AWS load balancers";
        const NO_ROUTER: &str = "there is no such router";
        const DISCOVERED: &str = "the version is what the API server serves";
        const ANY_CLASS: &str = "an Ingress that a Rollout names is routed whatever its class";
        const SILENT: &str = "there are no notifications";
        let switches = [
            (
                "--aws-verify-target-group",
                self.aws_verify_target_group,
                ALB,
            ),
            ("--alb-verify-weight", self.alb_verify_weight, ALB),
            (
                "--self-service-notification-enabled",
                self.self_service_notification_enabled,
                SILENT,
            ),
        ];
        let binding = &self.aws_target_group_binding_api_version;
        let texts = [
            ("--aws-target-group-binding-api-version", binding, ALB),
            (
                "--alb-tag-key-resource-id",
                &self.alb_tag_key_resource_id,
                ALB,
            ),
            ("--istio-api-version", &self.istio_api_version, NO_ROUTER),
            (
                "--ambassador-api-version",
                &self.ambassador_api_version,
                NO_ROUTER,
            ),
            (
                "--traffic-split-api-version",
                &self.traffic_split_api_version,
                NO_ROUTER,
            ),
            ("--traefik-api-group", &self.traefik_api_group, NO_ROUTER),
            (
                "--traefik-api-version",
                &self.traefik_api_version,
                NO_ROUTER,
            ),
            (
                "--appmesh-crd-version",
                &self.appmesh_crd_version,
                NO_ROUTER,
            ),
            (
                "--ingress-api-version",
                &self.ingress_api_version,
                DISCOVERED,
            ),
        ];
        let lists = [
            ("--alb-ingress-classes", &self.alb_ingress_classes, ALB),
            (
                "--nginx-ingress-classes",
                &self.nginx_ingress_classes,
                ANY_CLASS,
            ),
        ];
        let switches = switches.map(|(flag, given, why)| (given.is_some(), flag, why));
        let texts = texts.map(|(flag, given, why)| (given.is_some(), flag, why));
        let lists = lists.map(|(flag, given, why)| (!given.is_empty(), flag, why));
        let all = switches.into_iter().chain(texts).chain(lists);
        all.filter_map(|(given, flag, why)| given.then_some((flag, why)))
            .collect()
    }
}
