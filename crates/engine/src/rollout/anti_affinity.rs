//! Keeping the new pods off the nodes of the stable ones (rollouts.md §2.8).

use super::context::Context;
use super::replica_set::merge;
use api::AntiAffinity;
use api::constants::HASH_LABEL;
use serde_json::{Value, json};

impl Context<'_> {
    /// Adds the term to the template of a new ReplicaSet, if the strategy wants one.
    pub(crate) fn add_anti_affinity(&self, template: &mut Value) {
        let stable = self.stored_stable();
        if stable.is_empty() || stable == self.current_hash {
            return;
        }
        let Some(strategy) = self.anti_affinity() else {
            return;
        };
        let term = json!({
            "labelSelector": {"matchExpressions": [
                {"key": HASH_LABEL, "operator": "In", "values": [stable]},
            ]},
            "namespaces": [self.namespace()],
            "topologyKey": "kubernetes.io/hostname",
        });
        let preferred = &strategy.preferred_during_scheduling_ignored_during_execution;
        let (list, entry) = match preferred {
            Some(preferred) => (
                "preferredDuringSchedulingIgnoredDuringExecution",
                json!({"weight": preferred.weight, "podAffinityTerm": term}),
            ),
            None => ("requiredDuringSchedulingIgnoredDuringExecution", term),
        };
        let path = format!("/spec/affinity/podAntiAffinity/{list}");
        match template.pointer_mut(&path).and_then(Value::as_array_mut) {
            Some(terms) => terms.push(entry),
            None => merge(
                template,
                json!({"spec": {"affinity": {"podAntiAffinity": {list: [entry]}}}}),
            ),
        }
    }

    /// A ReplicaSet from an earlier update keeps away from pods that are no longer the stable ones:
    /// its term is pointed at those that are (§2.5).
    pub(crate) fn refresh_anti_affinity(&mut self, index: usize) {
        let stable = self.stored_stable();
        if stable.is_empty() || stable == self.current_hash || self.anti_affinity().is_none() {
            return;
        }
        let stable = stable.to_owned();
        let set = &mut self.sets[index];
        let affinity = set
            .live
            .spec
            .as_ref()
            .and_then(|spec| spec.template.as_ref())
            .and_then(|template| template.spec.as_ref())
            .and_then(|pod| pod.affinity.as_ref())
            .and_then(|affinity| affinity.pod_anti_affinity.as_ref());
        let mut lists = serde_json::to_value(affinity).unwrap_or_default();
        let mut changed = false;
        for terms in lists
            .as_object_mut()
            .into_iter()
            .flat_map(|map| map.values_mut())
        {
            for term in terms.as_array_mut().into_iter().flatten() {
                changed |= repoint(term, &stable);
            }
        }
        if changed {
            let mut extra = Value::Object(std::mem::take(&mut set.extra));
            merge(
                &mut extra,
                json!({"spec": {"template": {"spec": {"affinity": {"podAntiAffinity": lists}}}}}),
            );
            set.extra = extra.as_object().cloned().unwrap_or_default();
        }
    }

    fn anti_affinity(&self) -> Option<&AntiAffinity> {
        let spec = &self.rollout.spec;
        let of_blue_green = spec.blue_green().and_then(|s| s.anti_affinity.as_ref());
        of_blue_green.or_else(|| spec.canary().and_then(|s| s.anti_affinity.as_ref()))
    }
}

/// Points an injected term at another hash; whether that changes it. Other terms stay as they are.
fn repoint(term: &mut Value, hash: &str) -> bool {
    let injected = if term.get("podAffinityTerm").is_some() {
        &mut term["podAffinityTerm"]
    } else {
        term
    };
    let Some(expression) = injected.pointer_mut("/labelSelector/matchExpressions/0") else {
        return false;
    };
    let wanted = json!([hash]);
    let changes = expression["key"] == HASH_LABEL && expression["values"] != wanted;
    if changes {
        expression["values"] = wanted;
    }
    changes
}
