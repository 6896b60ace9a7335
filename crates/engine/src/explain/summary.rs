//! The first sentence, the decisions, and what is not written yet.

use super::Teller;
use super::since::at;
use crate::info;
use crate::rollout::canary::step_text;
use api::constants::INSTANCE_ID_LABEL;
use plan::{Action, WaitingOn};

impl Teller<'_> {
    /// `Rollout demo/web is Paused: canary, step 2 of 5 (pause).`
    pub(super) fn summary(&self) -> String {
        let rollout = &self.seen.snapshot.rollout;
        let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
        let subject = format!("Rollout {namespace}/{}", self.name());
        if rollout.metadata.deletion_timestamp.is_some() {
            return format!("{subject} is being deleted; the controller leaves it alone.");
        }
        let (phase, _) = info::phase(rollout);
        let mut parts = vec![self.doing()];
        parts.extend(self.step());
        format!("{subject} is {phase}: {}.", parts.join(", "))
    }

    fn doing(&self) -> String {
        let status = self.status();
        let strategy = if self.spec().blue_green().is_some() {
            "blue-green"
        } else {
            "canary"
        };
        let current = self.set_by_hash(&status.current_pod_hash);
        let current = current.map_or_else(|| "a new revision".to_owned(), Self::revision_of);
        if status.abort {
            format!("{strategy} update to {current}, aborted")
        } else if status.stable_rs.is_empty() {
            format!("{strategy}, first deployment of {current}")
        } else if !self.is_updating() {
            format!("{strategy}, {current} is the stable one")
        } else if status.promote_full {
            format!("{strategy} update to {current}, promoted in full")
        } else {
            format!("{strategy} update to {current}")
        }
    }

    fn step(&self) -> Option<String> {
        let steps = self.spec().canary_steps();
        let status = self.status();
        let leads = self.is_updating() && !status.abort && !status.promote_full;
        if steps.is_empty() || !leads {
            return None;
        }
        let index = usize::try_from(status.current_step_index.unwrap_or(0)).unwrap_or(0);
        Some(match steps.get(index) {
            Some(step) => format!(
                "step {} of {} ({})",
                index + 1,
                steps.len(),
                step_text(step)
            ),
            None => "all steps are done".to_owned(),
        })
    }

    /// `step 3 (setWeight: 60)`: what comes after the current one.
    pub(super) fn next_step(&self) -> String {
        let index = usize::try_from(self.status().current_step_index.unwrap_or(0)).unwrap_or(0);
        match self.spec().canary_steps().get(index + 1) {
            Some(step) => format!("step {} ({})", index + 2, step_text(step)),
            None => "the promotion".to_owned(),
        }
    }

    /// `step 2`.
    pub(super) fn this_step(&self) -> String {
        format!("step {}", self.status().current_step_index.unwrap_or(0) + 1)
    }

    pub(super) fn decisions(&self) -> Vec<String> {
        let decisions = self.seen.plan.trace.decisions.iter();
        decisions
            .map(|decision| match decision.because.as_str() {
                "" => decision.what.to_owned(),
                because => format!("{}: {because}", decision.what),
            })
            .collect()
    }

    /// What the plan would write. At rest there is nothing; during an update it is gone a moment
    /// later, unless no controller is at work.
    pub(super) fn outstanding(&self) -> Vec<String> {
        let plan = self.seen.plan;
        let mut lines: Vec<String> = plan.actions.iter().map(said).collect();
        if plan.root.patch.is_some() {
            lines.push("patch the Rollout itself".to_owned());
        }
        let generation = self.seen.snapshot.rollout.metadata.generation;
        let seen = self.stored.observed_generation.parse::<i64>().ok();
        // The status that tells of a new revision follows the creation of its ReplicaSet.
        let follows = !plan.actions.is_empty() && generation.is_some() && seen != generation;
        if self.stored != plan.status || follows {
            lines.push(match (generation, seen) {
                (Some(now), Some(seen)) if seen < now => {
                    format!(
                        "write the status: the stored one is of generation {seen}, the Rollout has {now}"
                    )
                }
                (_, None) => "write the first status".to_owned(),
                _ => "write the status".to_owned(),
            });
        }
        lines
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let labels = self.seen.snapshot.rollout.metadata.labels.as_ref();
        let instance = labels.and_then(|labels| labels.get(INSTANCE_ID_LABEL));
        let note = |id| format!("Only a controller with --instance-id={id} looks at this Rollout.");
        let instance = instance.map(note).into_iter();
        instance
            .chain(self.kept_by())
            .chain(self.scaled_by())
            .collect()
    }

    /// Who keeps a Rollout that was deleted. We set no finalizers.
    fn kept_by(&self) -> Option<String> {
        let metadata = &self.seen.snapshot.rollout.metadata;
        metadata.deletion_timestamp.as_ref()?;
        let finalizers = metadata.finalizers.as_ref()?;
        (!finalizers.is_empty()).then(|| {
            let all = finalizers.join(", ");
            format!("It stays until these finalizers are gone, which others take away: {all}.")
        })
    }

    /// While pods are waited for: an autoscaler may go on changing how many these are.
    fn scaled_by(&self) -> Option<String> {
        let mut waits = self.seen.plan.trace.waiting_on.iter();
        if !waits.any(|wait| matches!(wait, WaitingOn::Replicas { .. })) {
            return None;
        }
        let managed = self.seen.snapshot.rollout.metadata.managed_fields.iter();
        let scaled = managed.flatten().find(|entry| {
            let fields = entry.fields_v1.as_ref();
            let replicas = fields.and_then(|fields| fields.0.pointer("/f:spec/f:replicas"));
            entry.subresource.as_deref() == Some("scale") && replicas.is_some()
        })?;
        let replicas = self.spec().replicas?;
        let who = scaled.manager.as_deref().unwrap_or("somebody");
        let when = scaled.time.as_ref().map_or_else(String::new, |time| {
            format!(" at {}", at(time.0, self.seen.now))
        });
        Some(format!(
            "{who} has set spec.replicas to {replicas} through the scale subresource{when}: if \
             that is an autoscaler, it may go on changing how many pods are waited for."
        ))
    }
}

fn said(action: &Action) -> String {
    match action.deed() {
        Action::Create { object } | Action::Apply { object, .. } => {
            let text = |at: &str| object.pointer(at).and_then(|value| value.as_str());
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            format!(
                "create {} {}",
                kind.unwrap_or("an object"),
                name.unwrap_or_default()
            )
        }
        Action::Replace { target, .. } | Action::Patch { target, .. } => {
            format!("patch {} {}", target.kind, target.name)
        }
        Action::Delete { target, .. } => format!("delete {} {}", target.kind, target.name),
        Action::Evict { pod, .. } => {
            let name = &pod.name;
            format!("evict Pod {name}, unless a PodDisruptionBudget forbids it")
        }
        Action::Attempt(_) | Action::Measure(_) => "measure".to_owned(),
    }
}
