//! The rule of the services of Experiments: while their pods are wanted they lead to those,
//! whatever somebody has made of them. It holds after every pass of an Experiment that was carried
//! out to its end.

use crate::ground::Ground;
use crate::object::{Body, Id, Kind, hash_of};
use api::constants::HASH_LABEL;
use api::{ExperimentStatus, TemplateStatus, TemplateStatusCode};
use engine::experiment::ExperimentSnapshot;

/// A service that leads elsewhere than to the pods of its template, by what the pass has seen and
/// what it says of that. Those of a ReplicaSet that it makes anew come with the next one, and what
/// has ended leads where it leads until it goes.
pub fn misled_service(
    ground: &dyn Ground,
    snapshot: &ExperimentSnapshot,
    status: &ExperimentStatus,
) -> Option<(&'static str, String)> {
    let uid = snapshot.experiment.metadata.uid.as_deref()?;
    let is_seen = |hash: &str| {
        snapshot.replica_sets.iter().any(|set| {
            let mut owners = set.metadata.owner_references.iter().flatten();
            hash_of(set) == hash && owners.any(|owner| owner.uid == uid)
        })
    };
    let leads_elsewhere = |template: &TemplateStatus| {
        let object = ground.get(&Id::new(Kind::Service, &template.service_name))?;
        let is_ours = object.controller_uid() == Some(uid);
        let Body::Service(service) = object.body else {
            return None;
        };
        let selector = service.spec.as_ref().and_then(|own| own.selector.as_ref());
        let selected = selector.and_then(|all| all.get(HASH_LABEL));
        let (name, hash) = (&template.service_name, &template.pod_template_hash);
        (is_ours && is_seen(hash) && selected != Some(hash))
            .then(|| format!("{name} selects {selected:?}, not {hash}"))
    };
    let goes_on = |template: &&TemplateStatus| {
        matches!(
            template.status,
            Some(TemplateStatusCode::Progressing | TemplateStatusCode::Running)
        )
    };
    let mut templates = status.template_statuses.iter().filter(goes_on);
    let what = templates.find_map(leads_elsewhere)?;
    Some(("the service of an experiment leads elsewhere", what))
}
