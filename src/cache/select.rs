//! Which objects of a kind are watched.

use api::constants::INSTANCE_ID_LABEL;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher;

/// Selects objects by their labels: for the API server, and for the answers to writes, which bring
/// whatever was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selected {
    #[default]
    All,
    /// Those with this label, whatever its value.
    Labelled(&'static str),
    /// Those of an instance: with its id, or without any (rollouts.md §9.3).
    Instance(Option<String>),
}

impl Selected {
    /// An empty id is none.
    pub fn of_instance(id: Option<&str>) -> Self {
        Self::Instance(id.filter(|id| !id.is_empty()).map(str::to_owned))
    }

    /// As the API server wants it; `None` for all objects.
    pub fn labels(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Labelled(label) => Some((*label).to_owned()),
            Self::Instance(Some(id)) => Some(format!("{INSTANCE_ID_LABEL}={id}")),
            Self::Instance(None) => Some(format!("!{INSTANCE_ID_LABEL}")),
        }
    }

    pub(super) fn config(&self) -> watcher::Config {
        match self.labels() {
            Some(labels) => watcher::Config::default().labels(&labels),
            None => watcher::Config::default(),
        }
    }

    pub(super) fn takes(&self, metadata: &ObjectMeta) -> bool {
        let of = |label: &str| metadata.labels.as_ref()?.get(label);
        match self {
            Self::All => true,
            Self::Labelled(label) => of(label).is_some(),
            Self::Instance(id) => of(INSTANCE_ID_LABEL) == id.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(label: &str, value: &str) -> ObjectMeta {
        ObjectMeta {
            labels: Some([(label.to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn what_is_asked_for_is_what_is_taken() {
        let (none, blue) = (ObjectMeta::default(), labelled(INSTANCE_ID_LABEL, "blue"));
        let hashed = labelled("hash", "");
        let taken = |selected: &Selected| {
            let all = [&none, &blue, &hashed];
            all.map(|metadata| selected.takes(metadata))
        };
        let id = "argo-rollouts.argoproj.io/controller-instance-id";
        for (selected, labels, wanted) in [
            (Selected::All, None, [true; 3]),
            (
                Selected::Labelled("hash"),
                Some("hash".to_owned()),
                [false, false, true],
            ),
            (
                Selected::of_instance(Some("blue")),
                Some(format!("{id}=blue")),
                [false, true, false],
            ),
            (
                Selected::of_instance(Some("")),
                Some(format!("!{id}")),
                [true, false, true],
            ),
            (
                Selected::of_instance(None),
                Some(format!("!{id}")),
                [true, false, true],
            ),
        ] {
            assert_eq!(selected.labels(), labels);
            assert_eq!(selected.config().label_selector, labels);
            assert_eq!(taken(&selected), wanted, "{selected:?}");
        }
    }
}
