//! The ReplicaSets: how many pods, and how much of the traffic.

use super::Teller;
use crate::rollout::conditions;
use crate::rollout::replica_set::OwnedSet;
use api::constants::HASH_LABEL;
use std::fmt::Write;

impl Teller<'_> {
    pub(super) fn arms(&self) -> Vec<String> {
        let status = self.status();
        let shown = |set: &&OwnedSet| {
            set.live_replicas() > 0
                || set.pods() > 0
                || set.hash() == status.stable_rs
                || set.hash() == status.current_pod_hash
        };
        let arms = self.sets.iter().filter(shown).map(|set| self.arm(set));
        arms.chain(self.stray_services()).collect()
    }

    /// The services that do not lead to the pods of one revision.
    fn stray_services(&self) -> Vec<String> {
        let (mut open, mut bare, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for (name, service) in &self.seen.snapshot.services {
            let spec = service.spec.as_ref();
            let selector = spec.and_then(|spec| spec.selector.as_ref());
            let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
                bare.push(name.as_str());
                continue;
            };
            match selector.get(HASH_LABEL).filter(|hash| !hash.is_empty()) {
                None => open.push(name.as_str()),
                Some(hash) if self.set_by_hash(hash).is_none() => lines.push(format!(
                    "Service {name} selects {hash}, which no ReplicaSet has: no pod is behind it"
                )),
                Some(_) => {}
            }
        }
        let all = "no revision yet: requests go to the pods of all";
        lines.extend(of_services(&open, ["selects", "select"], all));
        let none = "no selector yet: no pod is behind it";
        lines.extend(of_services(&bare, ["has", "have"], none));
        lines
    }

    fn arm(&self, set: &OwnedSet) -> String {
        let mut line = format!(
            "{} {} ({}): {} of {} pods available",
            self.role_of(set),
            set.name(),
            Self::revision_of(set),
            set.available(),
            set.live_replicas(),
        );
        if set.pods() != set.live_replicas() {
            let _ = write!(line, ", {} exist", set.pods());
        }
        for part in [self.share(set), self.selected_by(set)]
            .into_iter()
            .flatten()
        {
            line.push_str(", ");
            line.push_str(&part);
        }
        line
    }

    /// By the weights that are stored: those that the router has. Who has edited
    /// `maxTrafficWeight` since then has not made other shares of them.
    fn share(&self, set: &OwnedSet) -> Option<String> {
        let weights = self.stored.canary.weights.as_ref()?;
        let routing = self.spec().traffic_routing()?;
        let arms = [&weights.canary, &weights.stable];
        let weight: i64 = arms
            .into_iter()
            .filter(|arm| arm.pod_template_hash == set.hash())
            .map(|arm| i64::from(arm.weight))
            .sum();
        let all = arms.into_iter().chain(&weights.additional);
        let sum: i64 = all.map(|arm| i64::from(arm.weight)).sum();
        let generation = self.seen.snapshot.rollout.metadata.generation.unwrap_or(0);
        let whole = if conditions::is_of_spec(&self.stored, generation) {
            i64::from(routing.max_traffic_weight.unwrap_or(100))
        } else {
            sum
        };
        Some(format!("traffic {weight}/{whole}"))
    }

    fn selected_by(&self, set: &OwnedSet) -> Option<String> {
        let services = self.seen.snapshot.services.iter().filter(|(_, service)| {
            let spec = service.spec.as_ref();
            let selector = spec.and_then(|spec| spec.selector.as_ref());
            selector
                .and_then(|selector| selector.get(HASH_LABEL))
                .map(String::as_str)
                == Some(set.hash())
        });
        let names: Vec<&str> = services.map(|(name, _)| name.as_str()).collect();
        match names.as_slice() {
            [] => None,
            [name] => Some(format!("selected by Service {name}")),
            names => Some(format!("selected by Services {}", names.join(", "))),
        }
    }
}

fn of_services(names: &[&str], [one, many]: [&str; 2], what: &str) -> Option<String> {
    match names {
        [] => None,
        [name] => Some(format!("Service {name} {one} {what}")),
        names => Some(format!("Services {} {many} {what}", names.join(", "))),
    }
}
