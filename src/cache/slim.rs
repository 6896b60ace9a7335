//! What caches leave out of the objects that they keep: what no plan of their kinds reads. It is
//! never missed in what is written either: plans send merge patches that name the fields they
//! change, and compare only labels, annotations and sizes, which are all there.

use super::dates;
use api::constants::LAST_APPLIED_ANNOTATION;
use api::{AnalysisTemplate, ClusterAnalysisTemplate, Rollout};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus, Service,
    ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DynamicObject;
use std::any::Any;

/// An object without who owns which field, which for most is longer than the object, and without
/// what is not read of its kind. Objects of kinds that are not known here stay whole.
pub(super) fn slim<K: Resource + Any>(mut object: K) -> K {
    let any: &mut dyn Any = &mut object;
    if any.is::<DynamicObject>() {
        // Whoever compares it with what Git says asks who owns what.
        return object;
    }
    if let Some(pod) = any.downcast_mut::<Pod>() {
        slim_pod(pod);
    } else if let Some(service) = any.downcast_mut::<Service>() {
        slim_service(service);
    } else if let Some(job) = any.downcast_mut::<Job>() {
        // What it runs is in the metric that it measures for.
        job.spec = None;
    } else if let Some(rollout) = any.downcast_mut::<Rollout>() {
        dates::whole_seconds(rollout);
    } else if let Some(template) = any.downcast_mut::<AnalysisTemplate>() {
        forget_applied(&mut template.metadata);
    } else if let Some(template) = any.downcast_mut::<ClusterAnalysisTemplate>() {
        forget_applied(&mut template.metadata);
    }
    object.meta_mut().managed_fields = None;
    object
}

/// There are many pods. Whether they are ready, where they can be reached, and why they do not
/// start is all that is looked at.
fn slim_pod(pod: &mut Pod) {
    pod.metadata.generate_name = None;
    pod.spec = pod.spec.take().and_then(ports_only);
    pod.status = pod.status.take().map(|status| PodStatus {
        conditions: kept(status.conditions, readiness),
        pod_ip: status.pod_ip,
        container_statuses: kept(status.container_statuses, waiting),
        init_container_statuses: kept(status.init_container_statuses, waiting),
        ..PodStatus::default()
    });
}

fn ports_only(spec: PodSpec) -> Option<PodSpec> {
    let slim = |container: Container| {
        let ports = container.ports.filter(|ports| !ports.is_empty());
        ports.is_some().then(|| Container {
            name: container.name,
            ports,
            ..Container::default()
        })
    };
    let containers = kept(Some(spec.containers), slim)?;
    Some(PodSpec {
        containers,
        ..PodSpec::default()
    })
}

fn readiness(condition: PodCondition) -> Option<PodCondition> {
    (condition.type_ == "Ready").then(|| PodCondition {
        type_: condition.type_,
        status: condition.status,
        last_transition_time: condition.last_transition_time,
        ..PodCondition::default()
    })
}

fn waiting(status: ContainerStatus) -> Option<ContainerStatus> {
    let waiting = status.state?.waiting?;
    Some(ContainerStatus {
        name: status.name,
        state: Some(ContainerState {
            waiting: Some(waiting),
            ..ContainerState::default()
        }),
        ..ContainerStatus::default()
    })
}

/// What is left of a list, in no more room than it needs.
fn kept<T>(list: Option<Vec<T>>, keep: impl Fn(T) -> Option<T>) -> Option<Vec<T>> {
    let mut kept: Vec<T> = list?.into_iter().filter_map(keep).collect();
    kept.shrink_to_fit();
    (!kept.is_empty()).then_some(kept)
}

/// All Services of the cluster are known: a Rollout may name any.
fn slim_service(service: &mut Service) {
    forget_applied(&mut service.metadata);
    service.spec = service.spec.take().map(|spec| ServiceSpec {
        ports: spec.ports,
        selector: spec.selector,
        ..ServiceSpec::default()
    });
    service.status = None;
}

/// The whole object once more, as `kubectl apply` leaves it.
fn forget_applied(metadata: &mut ObjectMeta) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED_ANNOTATION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    /// What is left of an object.
    fn left<K>(object: Value) -> Value
    where
        K: Resource + Serialize + DeserializeOwned + 'static,
    {
        let object: K = serde_json::from_value(object).unwrap();
        serde_json::to_value(slim(object)).unwrap()
    }

    #[test]
    fn what_is_compared_with_git_keeps_who_owns_what() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "a", "managedFields": [{"manager": "m"}]},
        }))
        .unwrap();
        assert!(slim(object).metadata.managed_fields.is_some());
    }

    #[test]
    fn a_pod_keeps_its_metadata_its_ports_and_whether_it_is_ready() {
        let metadata = json!({
            "name": "a-1",
            "generateName": "a-",
            "labels": {"app": "a"},
            "annotations": {"b": "c"},
            "managedFields": [{"manager": "m"}],
        });
        let ready = json!({
            "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let running = json!({
            "name": "app", "image": "demo:blue", "imageID": "sha256:1", "ready": true,
            "restartCount": 0, "state": {"running": {}}});
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "containers": [
                    {
                        "name": "app",
                        "image": "demo:blue",
                        "ports": [{"containerPort": 80}],
                        "env": [{"name": "A", "value": "b"}],
                    },
                    {"name": "helper", "image": "demo:blue"},
                ],
                "volumes": [{"name": "v"}],
            },
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Initialized", "status": "True"}, ready],
                "containerStatuses": [running],
            },
        });
        assert_eq!(
            left::<Pod>(pod),
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "a-1", "labels": {"app": "a"}, "annotations": {"b": "c"}},
                "spec": {"containers": [{"name": "app", "ports": [{"containerPort": 80}]}]},
                "status": {"podIP": "10.0.0.1", "conditions": [ready]},
            })
        );
    }

    #[test]
    fn a_pod_that_does_not_start_keeps_why() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "app", "image": "demo:blue"}]},
            "status": {"containerStatuses": [{
                "name": "app", "image": "demo:blue", "imageID": "", "ready": false,
                "restartCount": 3,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
            }]},
        }))
        .unwrap();
        let slim = slim(pod);
        assert_eq!(slim.spec, None);
        let statuses = slim.status.unwrap().container_statuses.unwrap();
        let waiting = statuses[0]
            .state
            .as_ref()
            .unwrap()
            .waiting
            .as_ref()
            .unwrap();
        assert_eq!(statuses[0].name, "app");
        assert_eq!(waiting.reason.as_deref(), Some("ImagePullBackOff"));
        assert_eq!(waiting.message.as_deref(), Some("no such image"));
    }

    #[test]
    fn a_service_keeps_whom_it_selects_and_its_ports() {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "annotations": {
                LAST_APPLIED_ANNOTATION: "{}", "argo-rollouts.argoproj.io/managed-by-rollouts": "app"}},
            "spec": {
                "type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"app": "a"},
                "ports": [{"port": 80, "targetPort": "http"}],
            },
            "status": {"loadBalancer": {}},
        });
        assert_eq!(
            left::<Service>(service),
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "web", "annotations": {
                    "argo-rollouts.argoproj.io/managed-by-rollouts": "app"}},
                "spec": {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": "http"}]},
            })
        );
    }

    #[test]
    fn a_job_keeps_how_it_ended() {
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "a", "labels": {"b": "c"}},
            "spec": {"template": {"spec": {"containers": []}}},
            "status": {"conditions": [{"type": "Failed", "status": "True", "message": "no"}]},
        });
        let mut wanted = job.clone();
        wanted.as_object_mut().unwrap().remove("spec");
        assert_eq!(left::<Job>(job), wanted);
    }
}
