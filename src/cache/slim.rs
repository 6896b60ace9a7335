//! What caches leave out of the objects that they keep.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::Resource;
use kube::core::DynamicObject;
use std::any::Any;

/// Without who owns which field, which for most objects is longer than the object: no plan of these
/// kinds asks for it. There are many pods, and of their spec only ports are ever looked at.
pub(super) fn slim<K: Resource + Any>(mut object: K) -> K {
    if (&object as &dyn Any).is::<DynamicObject>() {
        // Whoever compares it with what Git says asks who owns what.
        return object;
    }
    object.meta_mut().managed_fields = None;
    if let Some(pod) = (&mut object as &mut dyn Any).downcast_mut::<Pod>() {
        pod.spec = pod.spec.take().map(ports_only);
    }
    object
}

fn ports_only(spec: PodSpec) -> PodSpec {
    let slim = |container: Container| Container {
        name: container.name,
        ports: container.ports,
        ..Container::default()
    };
    PodSpec {
        containers: spec.containers.into_iter().map(slim).collect(),
        ..PodSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
    fn a_pod_keeps_its_metadata_its_ports_and_its_status() {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "a", "labels": {"app": "a"}, "managedFields": [{"manager": "m"}]},
            "spec": {
                "containers": [{
                    "name": "app",
                    "image": "demo:blue",
                    "ports": [{"containerPort": 80}],
                    "env": [{"name": "A", "value": "b"}],
                }],
                "volumes": [{"name": "v"}],
            },
            "status": {"podIP": "10.0.0.1"},
        });
        let slim = slim(serde_json::from_value::<Pod>(pod).unwrap());
        assert_eq!(
            serde_json::to_value(slim).unwrap(),
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "a", "labels": {"app": "a"}},
                "spec": {"containers": [{"name": "app", "ports": [{"containerPort": 80}]}]},
                "status": {"podIP": "10.0.0.1"},
            })
        );
    }
}
