//! One template: its ReplicaSet, its Service, and how it stands (rollouts.md §5, per template).

use super::context::{Context, has_ended};
use super::validate::progress_deadline_s;
use crate::rollout::replica_set::OwnedSet;
use crate::rollout::time::{plus_seconds, time};
use api::constants::reason;
use api::{TemplateSpec, TemplateStatus, TemplateStatusCode};
use plan::{EventKind, WaitingOn};

/// What became of a template in this pass.
pub(super) struct Template<'a> {
    pub(super) spec: &'a TemplateSpec,
    pub(super) status: TemplateStatus,
    /// It is to have no pods any more.
    pub(super) over: bool,
    /// What cannot be done.
    pub(super) error: Option<String>,
}

impl Template<'_> {
    /// The pods that the spec asks for.
    pub(super) fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }
}

impl Context<'_> {
    pub(super) fn run_templates(&mut self) {
        for spec in &self.spec.templates {
            let stored = self.stored_template(&spec.name).cloned();
            let status = stored.unwrap_or_else(|| TemplateStatus {
                name: spec.name.clone(),
                ..TemplateStatus::default()
            });
            let mut template = Template {
                over: self.terminating || has_ended(&status),
                spec,
                status,
                error: None,
            };
            self.run_template(&mut template);
            self.announce(&template.status);
            self.status.template_statuses.push(template.status);
        }
    }

    fn run_template(&mut self, template: &mut Template<'_>) {
        let mut sets = self.sets_of(&template.spec.name);
        if sets.len() > 1 {
            let names: Vec<&str> = sets.iter().map(OwnedSet::name).collect();
            template.error = Some(format!(
                "more than one ReplicaSet for template '{}': {}",
                template.spec.name,
                names.join(", ")
            ));
            template.over = true;
        }
        let mut size = None;
        if sets.is_empty() && !template.over {
            self.create_set(template);
        }
        for (index, set) in sets.iter_mut().enumerate() {
            if index == 0 {
                self.serve(template, set);
            }
            let target = self.scale(template, set);
            if index == 0 {
                size = Some((target, set.available()));
                self.count(template, set, target);
            }
        }
        if size.is_none() {
            self.count_nothing(template);
        }
        self.judge(template, size);
    }

    /// There is no ReplicaSet: not yet, or not any more.
    fn count_nothing(&mut self, template: &mut Template<'_>) {
        let status = &mut template.status;
        if status.last_transition_time.is_none() || status.replicas != 0 {
            status.last_transition_time = Some(time(self.now));
            self.progressed = true;
        }
        status.replicas = 0;
        status.updated_replicas = 0;
        status.ready_replicas = 0;
        status.available_replicas = 0;
    }

    /// Takes over the counters; a change is progress.
    fn count(&mut self, template: &mut Template<'_>, set: &OwnedSet, target: i32) {
        let status = &mut template.status;
        let before = (
            status.replicas,
            status.ready_replicas,
            status.available_replicas,
        );
        status.replicas = set.pods();
        status.updated_replicas = set.pods();
        status.ready_replicas = set.ready();
        status.available_replicas = set.available();
        let after = (
            status.replicas,
            status.ready_replicas,
            status.available_replicas,
        );
        if before != after || target != set.live_replicas() {
            status.last_transition_time = Some(time(self.now));
            self.progressed = true;
        }
    }

    /// How the template stands; what has ended stays, unless something cannot be done.
    fn judge(&mut self, template: &mut Template<'_>, size: Option<(i32, i32)>) {
        if let Some(error) = template.error.take() {
            template.status.status = Some(TemplateStatusCode::Error);
            template.status.message = error;
            return;
        }
        if has_ended(&template.status) {
            return;
        }
        let deadline_s = progress_deadline_s(self.spec);
        let moved = template.status.last_transition_time.as_ref();
        let deadline = moved.map(|at| plus_seconds(at.0, deadline_s.into()));
        let (code, message) = if size.is_some_and(|(want, have)| want == have) {
            if self.terminating || self.is_duration_over() {
                (TemplateStatusCode::Successful, String::new())
            } else {
                (TemplateStatusCode::Running, String::new())
            }
        } else if deadline.is_some_and(|deadline| deadline < self.now) {
            let message = format!(
                "Template '{}' exceeded its progressDeadlineSeconds ({deadline_s})",
                template.spec.name
            );
            (TemplateStatusCode::Failed, message)
        } else if self.terminating {
            (TemplateStatusCode::Successful, String::new())
        } else {
            if let Some(deadline) = deadline {
                self.wake_at(plus_seconds(deadline, 1));
            }
            self.wait_for_pods(template, size);
            (TemplateStatusCode::Progressing, String::new())
        };
        template.status.status = Some(code);
        template.status.message = message;
    }

    fn wait_for_pods(&mut self, template: &Template<'_>, size: Option<(i32, i32)>) {
        let sets = self.sets_of(&template.spec.name);
        let name = sets.first().map_or_else(
            || self.set_name(&template.spec.name, template.status.collision_count),
            |set| set.name().to_owned(),
        );
        self.wait(WaitingOn::Replicas {
            replica_set: name,
            have: size.map_or(0, |(_, have)| have),
            want: template.replicas(),
        });
    }

    fn announce(&mut self, status: &TemplateStatus) {
        let Some(code) = status.status else { return };
        let stored = self.stored_template(&status.name);
        let before = stored.and_then(|stored| stored.status);
        if before == Some(code) {
            return;
        }
        let (kind, reason) = match code {
            TemplateStatusCode::Progressing => (EventKind::Normal, reason::TEMPLATE_PROGRESSING),
            TemplateStatusCode::Running => (EventKind::Normal, reason::TEMPLATE_RUNNING),
            TemplateStatusCode::Successful => (EventKind::Normal, reason::TEMPLATE_SUCCESSFUL),
            TemplateStatusCode::Failed => (EventKind::Warning, reason::TEMPLATE_FAILED),
            TemplateStatusCode::Error => (EventKind::Warning, reason::TEMPLATE_ERROR),
        };
        let before = before.map_or("", TemplateStatusCode::as_str);
        let mut message = format!(
            "Template '{}' transitioned from {before} -> {code}",
            status.name
        );
        if !status.message.is_empty() {
            message = format!("{message}: {}", status.message);
        }
        self.tell(kind, reason, message);
    }
}
