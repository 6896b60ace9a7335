//! A ReplicaSet and what it is to its Rollout.

use super::icon::Icon;
use super::images::is_zero;
use super::meta::{annotation, brief, by_age, by_revision, label, owns, revision};
use super::pod::PodInfo;
use api::constants::{
    EXPERIMENT_TEMPLATE_NAME_ANNOTATION, HASH_LABEL, SCALE_DOWN_DEADLINE_ANNOTATION,
};
use api::{PingPongType, Rollout};
use gocompat::duration;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSetInfo {
    pub object_meta: ObjectMeta,
    /// Healthy, Progressing, ScaledDown or ReplicaFailure.
    pub status: String,
    pub icon: Icon,
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub stable: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub canary: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub active: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub preview: bool,
    /// Pods there are.
    pub replicas: i32,
    pub available: i32,
    /// Name of the experiment template that it was made from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template: String,
    /// When it will be scaled down, RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scale_down_deadline: String,
    pub images: Vec<String>,
    pub pods: Vec<PodInfo>,
    #[serde(skip_serializing_if = "is_false")]
    pub ping: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub pong: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_container_images: Vec<String>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The ReplicaSets of `owner`, newest revision first.
pub(super) fn replica_sets(
    owner: &ObjectMeta,
    all: &[&ReplicaSet],
    pods: &[&Pod],
    rollout: Option<&Rollout>,
) -> Vec<ReplicaSetInfo> {
    let mut owned: Vec<_> = all
        .iter()
        .filter(|set| owns(owner, &set.metadata))
        .map(|set| ReplicaSetInfo::new(set, pods, rollout))
        .collect();
    owned.sort_by_cached_key(|set| by_revision(set.revision, &set.object_meta));
    owned
}

impl ReplicaSetInfo {
    fn new(set: &ReplicaSet, pods: &[&Pod], rollout: Option<&Rollout>) -> Self {
        let (status, icon) = health(set);
        let counts = set.status.clone().unwrap_or_default();
        let meta = &set.metadata;
        let text = |key: &str| annotation(meta, key).unwrap_or_default().to_owned();
        let template = set
            .spec
            .as_ref()
            .and_then(|spec| spec.template.as_ref()?.spec.as_ref());
        let init = template
            .and_then(|pod| pod.init_containers.as_deref())
            .unwrap_or_default();
        let mut info = Self {
            object_meta: brief(meta),
            status: status.to_owned(),
            icon,
            revision: revision(meta),
            stable: false,
            canary: false,
            active: false,
            preview: false,
            replicas: counts.replicas,
            available: counts.available_replicas.unwrap_or_default(),
            template: text(EXPERIMENT_TEMPLATE_NAME_ANNOTATION),
            scale_down_deadline: text(SCALE_DOWN_DEADLINE_ANNOTATION),
            images: images(template.map_or(&[], |pod| &pod.containers)),
            pods: pods_of(meta, pods),
            ping: false,
            pong: false,
            init_container_images: images(init),
        };
        if let Some(rollout) = rollout {
            info.take_role(label(meta, HASH_LABEL).unwrap_or_default(), rollout);
        }
        info
    }

    /// What the ReplicaSet of this hash is to the Rollout.
    fn take_role(&mut self, hash: &str, rollout: &Rollout) {
        let Some(status) = rollout.status.as_ref().filter(|_| !hash.is_empty()) else {
            return;
        };
        let current = status.current_pod_hash == hash;
        self.stable = status.stable_rs == hash;
        self.canary = rollout.spec.canary().is_some() && current && !self.stable;
        if rollout.spec.blue_green().is_some() {
            self.active = status.blue_green.active_selector == hash;
            self.preview = !self.active && status.blue_green.preview_selector == hash;
        }
        let pairs = rollout
            .spec
            .canary()
            .is_some_and(|canary| canary.ping_pong.is_some());
        if pairs && (self.stable || self.canary) {
            let stable_is_ping = status.canary.stable_ping_pong == Some(PingPongType::Ping);
            self.ping = stable_is_ping == self.stable;
            self.pong = !self.ping;
        }
    }

    /// The words of the INFO column.
    pub(super) fn notes(&self, now: Timestamp) -> Vec<String> {
        let roles = [
            (self.stable, "stable"),
            (self.canary, "canary"),
            (self.active, "active"),
            (self.preview, "preview"),
            (self.ping, "ping"),
            (self.pong, "pong"),
        ];
        let roles = roles
            .iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, word)| (*word).to_owned());
        roles.chain(self.delay(now)).collect()
    }

    /// How long until it is scaled down.
    fn delay(&self, now: Timestamp) -> Option<String> {
        let deadline: Timestamp = self.scale_down_deadline.parse().ok()?;
        if deadline < now {
            return Some("delay:passed".to_owned());
        }
        let left_s = deadline.duration_since(now).as_secs();
        Some(format!("delay:{}", duration::human(left_s)))
    }
}

fn health(set: &ReplicaSet) -> (&'static str, Icon) {
    let status = set.status.as_ref();
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let failed = |one: &&k8s_openapi::api::apps::v1::ReplicaSetCondition| {
        one.type_ == "ReplicaFailure" && one.status == "True"
    };
    let wanted = set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let available = status
        .and_then(|status| status.available_replicas)
        .unwrap_or_default();
    let observed = status
        .and_then(|status| status.observed_generation)
        .unwrap_or_default();
    if set.metadata.generation.unwrap_or_default() > observed {
        ("Progressing", Icon::Progressing)
    } else if conditions.iter().find(failed).is_some() {
        ("ReplicaFailure", Icon::Bad)
    } else if wanted == 0 {
        ("ScaledDown", Icon::Neutral)
    } else if available < wanted {
        ("Progressing", Icon::Progressing)
    } else {
        ("Healthy", Icon::Ok)
    }
}

fn images(containers: &[Container]) -> Vec<String> {
    containers
        .iter()
        .filter_map(|container| container.image.clone())
        .collect()
}

fn pods_of(owner: &ObjectMeta, pods: &[&Pod]) -> Vec<PodInfo> {
    let mut owned: Vec<_> = pods
        .iter()
        .filter(|pod| owns(owner, &pod.metadata))
        .collect();
    owned.sort_by_cached_key(|pod| by_age(&pod.metadata));
    owned.into_iter().map(|pod| PodInfo::new(pod)).collect()
}
