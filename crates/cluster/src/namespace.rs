//! Namespaces: their default service account, and their end.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use serde_json::json;

use crate::{Kind, Propagation, Step, Target, Write, meta};

/// Finalizer in `spec.finalizers` that keeps a namespace until it is empty.
pub const FINALIZER: &str = "kubernetes";

/// What one step may look at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub namespace: &'a Namespace,
    pub has_service_account: bool,
    /// Whatever is still in the namespace, with whether its deletion was already asked for and
    /// whether finalizers hold it.
    pub contents: &'a [Content],
}

/// One object in a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    pub target: Target,
    pub deleting: bool,
    pub finalizers: Vec<String>,
}

/// One step of one namespace.
pub fn step(view: &View<'_>, now: Timestamp) -> Step {
    let mut step = Step::default();
    let namespace = view.namespace;
    if !meta::is_deleting(&namespace.metadata) {
        if !view.has_service_account {
            let object = json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": { "name": "default", "namespace": namespace.metadata.name },
            });
            step.writes.push(Write::Create {
                kind: Kind::SERVICE_ACCOUNT,
                object,
            });
        }
        return step;
    }
    // Pods first: what runs in them may need the rest until it has stopped.
    let pods_left = view.contents.iter().any(is_pod);
    let next = view
        .contents
        .iter()
        .filter(|content| !content.deleting && (is_pod(content) || !pods_left));
    for content in next {
        step.writes.push(Write::Delete {
            target: content.target.clone(),
            grace_s: None,
            propagation: Some(Propagation::Background),
        });
    }
    let finalizers = namespace
        .spec
        .as_ref()
        .and_then(|spec| spec.finalizers.clone());
    let finalizers = finalizers.unwrap_or_default();
    if view.contents.is_empty() && finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        let mut object = namespace.clone();
        let left = finalizers
            .into_iter()
            .filter(|finalizer| finalizer != FINALIZER)
            .collect();
        object.spec.get_or_insert_default().finalizers = Some(left);
        let object = json!(object);
        step.writes.push(Write::Update {
            kind: Kind::NAMESPACE,
            object,
            subresource: Some("finalize"),
        });
        return step;
    }
    report(view, now, &mut step);
    step
}

fn is_pod(content: &Content) -> bool {
    content.target.kind == Kind::POD
}

/// Phase and conditions while something is left.
fn report(view: &View<'_>, now: Timestamp, step: &mut Step) {
    let live = view.namespace.status.clone().unwrap_or_default();
    let mut want = live.clone();
    want.phase = Some("Terminating".to_owned());
    let conditions = want.conditions.get_or_insert_default();
    for wanted in conditions_of(view) {
        match conditions
            .iter_mut()
            .find(|condition| condition.type_ == wanted.type_)
        {
            Some(live) if live.status == wanted.status && live.message == wanted.message => {}
            Some(live) => {
                let at = if live.status == wanted.status {
                    live.last_transition_time.clone()
                } else {
                    Some(meta::time(now))
                };
                *live = NamespaceCondition {
                    last_transition_time: at,
                    ..wanted
                };
            }
            None => conditions.push(NamespaceCondition {
                last_transition_time: Some(meta::time(now)),
                ..wanted
            }),
        }
    }
    if want != live {
        let mut object = view.namespace.clone();
        object.status = Some(want);
        step.writes.push(Write::Update {
            kind: Kind::NAMESPACE,
            object: json!(object),
            subresource: Some("status"),
        });
    }
}

fn conditions_of(view: &View<'_>) -> [NamespaceCondition; 5] {
    let fine = |kind: &str, reason: &str, message: &str| condition(kind, "False", reason, message);
    [
        fine(
            "NamespaceDeletionDiscoveryFailure",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        fine(
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        fine(
            "NamespaceDeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        remaining(view),
        finalizing(view),
    ]
}

fn remaining(view: &View<'_>) -> NamespaceCondition {
    let kinds = view.contents.iter().map(|c| resource(&c.target.kind));
    let counted = counted(kinds.collect(), "has");
    let kind = "NamespaceContentRemaining";
    if counted.is_empty() {
        let message = "All content successfully removed";
        return condition(kind, "False", "ContentRemoved", message);
    }
    let message = format!("Some resources are remaining: {}", counted.join(", "));
    condition(kind, "True", "SomeResourcesRemain", &message)
}

fn finalizing(view: &View<'_>) -> NamespaceCondition {
    let finalizers = view.contents.iter().flat_map(|c| c.finalizers.clone());
    let held = counted(finalizers.collect(), "in");
    let kind = "NamespaceFinalizersRemaining";
    if held.is_empty() {
        let message = "All content-preserving finalizers finished";
        return condition(kind, "False", "ContentHasNoFinalizers", message);
    }
    let message = format!(
        "Some content in the namespace has finalizers remaining: {}",
        held.join(", ")
    );
    condition(kind, "True", "SomeFinalizersRemain", &message)
}

/// `NAME has 2 resource instances`, for each name.
fn counted(mut names: Vec<String>, verb: &str) -> Vec<String> {
    names.sort_unstable();
    let same = names.chunk_by(|a, b| a == b);
    same.map(|chunk| format!("{} {verb} {} resource instances", chunk[0], chunk.len()))
        .collect()
}

/// The plural and group as the real controller prints them, e.g. `replicasets.apps`; regular
/// English plurals.
fn resource(kind: &Kind) -> String {
    let lower = kind.kind.to_lowercase();
    let plural = match lower.strip_suffix('y') {
        Some(stem) if !lower.ends_with("ay") && !lower.ends_with("ey") => format!("{stem}ies"),
        _ if lower.ends_with('s') && lower != "endpoints" => format!("{lower}es"),
        _ if lower == "endpoints" => lower,
        _ => format!("{lower}s"),
    };
    format!("{plural}.{}", kind.group)
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> NamespaceCondition {
    NamespaceCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(deleting: bool) -> Namespace {
        serde_json::from_value(json!({
            "metadata": {
                "name": "shop", "uid": "1", "resourceVersion": "5",
                "deletionTimestamp": if deleting { json!("2026-01-01T00:00:00Z") } else { json!(null) },
            },
            "spec": { "finalizers": ["kubernetes"] },
        }))
        .unwrap()
    }

    fn content(deleting: bool) -> Content {
        let target = Target {
            kind: Kind::POD,
            namespace: Some("shop".to_owned()),
            name: "a".to_owned(),
            uid: None,
        };
        Content {
            target,
            deleting,
            finalizers: vec!["weir.dev/hold".to_owned()],
        }
    }

    fn writes(namespace: &Namespace, contents: &[Content]) -> Vec<Write> {
        let view = View {
            namespace,
            has_service_account: true,
            contents,
        };
        step(&view, Timestamp::UNIX_EPOCH).writes
    }

    #[test]
    fn a_live_namespace_gets_a_service_account_and_nothing_else() {
        let namespace = namespace(false);
        assert!(writes(&namespace, &[content(false)]).is_empty());
        let view = View {
            namespace: &namespace,
            has_service_account: false,
            contents: &[],
        };
        assert!(matches!(
            step(&view, Timestamp::UNIX_EPOCH).writes[..],
            [Write::Create { .. }]
        ));
    }

    #[test]
    fn pods_go_before_the_rest() {
        let namespace = namespace(true);
        let mut config = content(false);
        config.target.kind = Kind::of("", "v1", "ConfigMap");
        let deleted = |contents: &[Content]| -> Vec<String> {
            let deletes = writes(&namespace, contents).into_iter();
            let kinds = deletes.filter_map(|write| match write {
                Write::Delete { target, .. } => Some(target.kind.kind.to_string()),
                _ => None,
            });
            kinds.collect()
        };
        assert_eq!(deleted(&[config.clone(), content(false)]), ["Pod"]);
        let none: [&str; 0] = [];
        assert_eq!(deleted(&[config.clone(), content(true)]), none);
        assert_eq!(deleted(&[config]), ["ConfigMap"]);
    }

    #[test]
    fn a_terminating_namespace_empties_itself_then_goes() {
        let namespace = namespace(true);
        let found = writes(&namespace, &[content(false)]);
        assert!(matches!(found[0], Write::Delete { .. }));
        let Write::Update {
            object,
            subresource: Some("status"),
            ..
        } = &found[1]
        else {
            panic!("status");
        };
        assert_eq!(object["status"]["phase"], "Terminating");
        let text = object["status"].to_string();
        assert!(text.contains("pods. has 1 resource instances"), "{text}");
        assert!(
            text.contains("weir.dev/hold in 1 resource instances"),
            "{text}"
        );
        assert!(!matches!(
            writes(&namespace, &[content(true)])[0],
            Write::Delete { .. }
        ));
        let Write::Update {
            object,
            subresource,
            ..
        } = &writes(&namespace, &[])[0]
        else {
            panic!("finalize");
        };
        assert_eq!(*subresource, Some("finalize"));
        assert_eq!(object["spec"]["finalizers"], json!([]));
    }
}
