//! What holds at every instant of a world, whatever happens to it.

use crate::world::{NAMESPACE, World};
use plan::ObjectKey;
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl World {
    /// Ready pods of the ReplicaSets that are `wanted`.
    fn ready_where(&self, wanted: impl Fn(&Value) -> bool) -> i64 {
        let ready_of = |(name, _, ready): (String, i64, i64)| {
            let key = ObjectKey::namespaced("apps/v1", "ReplicaSet", NAMESPACE, &name);
            if wanted(&self.objects[&key]) {
                ready
            } else {
                0
            }
        };
        self.sizes().into_iter().map(ready_of).sum()
    }

    pub(crate) fn ready_of(&self, hash: &str) -> i64 {
        self.ready_where(|set| {
            set["metadata"]["labels"]["rollouts-pod-template-hash"] == json!(hash)
        })
    }

    /// Whether a ReplicaSet of the Rollout has a ready pod. Those of experiments are no arms:
    /// nothing could send the Rollout's traffic to them.
    fn has_ready_arm(&self) -> bool {
        let of_rollout = |set: &Value| {
            let owner = set.pointer("/metadata/ownerReferences/0/kind");
            owner.is_some_and(|kind| kind == "Rollout")
        };
        self.ready_where(of_rollout) > 0
    }

    /// Breaches of the rules that hold at every instant: requests never go to pods that are not
    /// there while others are, and the canary never has more than its step's weight. No action may
    /// add one; pods that die by themselves, or with a Rollout scaled to nothing, may.
    pub(crate) fn violations(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        if !self.has_ready_arm() || self.rollout()["spec"]["replicas"] == json!(0) {
            return found;
        }
        for key in self.keys("HTTPRoute") {
            let rules = self.objects[&key].pointer("/spec/rules");
            for rule in rules.and_then(Value::as_array).into_iter().flatten() {
                match rule["backendRefs"]
                    .as_array()
                    .map_or(&[][..], Vec::as_slice)
                {
                    // A header route: all that match go there.
                    [only] => found.extend(self.lonely_violation(only)),
                    backends => {
                        found.extend(backends.iter().filter_map(|b| self.backend_violation(b)));
                    }
                }
            }
        }
        for key in self.keys("Ingress") {
            for backend in canary_ingress_backends(&self.objects[&key]) {
                found.extend(self.backend_violation(&backend));
            }
        }
        if let Some(hash) = self.selected("active")
            && self.ready_of(&hash) == 0
        {
            found.insert("the active service has no ready pod".to_owned());
        }
        found
    }

    pub(crate) fn selected(&self, service: &str) -> Option<String> {
        let key = ObjectKey::namespaced("v1", "Service", NAMESPACE, service);
        let hash = self
            .objects
            .get(&key)?
            .pointer("/spec/selector/rollouts-pod-template-hash");
        hash.and_then(Value::as_str).map(str::to_owned)
    }

    fn lonely_violation(&self, backend: &Value) -> Option<String> {
        let service = backend["name"].as_str().unwrap_or_default();
        let hash = self.selected(service)?;
        (self.ready_of(&hash) == 0).then(|| format!("a header leads to {service} without pods"))
    }

    fn backend_violation(&self, backend: &Value) -> Option<String> {
        let service = backend["name"].as_str().unwrap_or_default();
        let weight = backend.get("weight").and_then(Value::as_i64)?;
        let hash = self.selected(service)?;
        if weight > 0 && self.ready_of(&hash) == 0 {
            return Some(format!("{service} gets traffic without a ready pod"));
        }
        let stable = self
            .rollout()
            .pointer("/status/stableRS")
            .and_then(Value::as_str);
        if self.turned {
            return None;
        }
        let mut allowed = self.allowed_weight();
        let replicas = self.rollout()["spec"]["replicas"].as_i64().unwrap_or(1);
        let too_few = |stable| self.ready_of(stable) * 100 < replicas * (100 - allowed);
        if stable.is_some_and(too_few) {
            // As after an abort: what nobody else can take yet stays where it is.
            allowed = allowed.max(self.recorded_weight());
        }
        // With the stable pods gone for good there is nobody else to send requests to.
        let stable = stable.filter(|hash| {
            let name = format!("-{hash}");
            self.keys("ReplicaSet")
                .iter()
                .any(|key| key.name.ends_with(&name))
        });
        (service == self.canary_service()
            && stable.is_some_and(|stable| stable != hash)
            && weight > allowed)
            .then(|| "the canary gets more than its step allows".to_owned())
    }

    /// The service that has the canary's role: ping or pong, or the one of the name.
    fn canary_service(&self) -> &str {
        let canary = &self.rollout()["spec"]["strategy"]["canary"];
        let name = |at: &str| canary.pointer(at).and_then(Value::as_str);
        let stable = self.rollout().pointer("/status/canary/stablePingPong");
        let canary = match stable.and_then(Value::as_str) {
            Some("ping") => name("/pingPong/pongService"),
            _ => name("/pingPong/pingService"),
        };
        canary.unwrap_or("canary")
    }

    fn recorded_weight(&self) -> i64 {
        let recorded = self
            .rollout()
            .pointer("/status/canary/weights/canary/weight");
        recorded.and_then(Value::as_i64).unwrap_or(0)
    }

    /// The weight of the last `setWeight` up to the current step.
    fn allowed_weight(&self) -> i64 {
        let status = &self.rollout()["status"];
        let steps = self.rollout().pointer("/spec/strategy/canary/steps");
        let steps: &[Value] = steps.and_then(Value::as_array).map_or(&[], Vec::as_slice);
        // Who promotes an aborted update in full takes the abort back.
        let is_asked = status["promoteFull"] == json!(true);
        let is_taken_back = is_asked && !status["abortedAt"].is_null();
        if status["abort"] == json!(true) && !is_taken_back {
            // What the stable pods cannot take yet stays where it is; it never becomes more.
            return self.recorded_weight();
        }
        let index = status["currentStepIndex"].as_u64().unwrap_or(0) as usize;
        if index >= steps.len() || is_asked {
            let routing = self
                .rollout()
                .pointer("/spec/strategy/canary/trafficRouting");
            let max_weight = routing.and_then(|routing| routing["maxTrafficWeight"].as_i64());
            return max_weight.unwrap_or(100);
        }
        let weights = steps[..=index]
            .iter()
            .rev()
            .filter_map(|step| step["setWeight"].as_i64());
        weights.into_iter().next().unwrap_or(0)
    }
}

/// What an Ingress with NGINX's canary annotations does, as backends with weights.
fn canary_ingress_backends(ingress: &Value) -> Vec<Value> {
    let annotation = |name: &str| {
        let key = format!("nginx.ingress.kubernetes.io/{name}");
        let value = ingress["metadata"]["annotations"].get(key)?;
        value.as_str()?.parse::<i64>().ok()
    };
    let Some(weight) = annotation("canary-weight") else {
        return Vec::new();
    };
    let total = annotation("canary-weight-total").unwrap_or(100);
    vec![
        json!({"name": "canary", "weight": weight}),
        json!({"name": "stable", "weight": total - weight}),
    ]
}
