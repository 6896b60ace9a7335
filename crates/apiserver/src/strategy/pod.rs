//! Pods: what admission fills in, grace, eviction, binding.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Target, WriteOptions};
use crate::access::{DeleteOptions, Deleted};
use crate::gvk::Gvk;
use crate::object::{
    default_at, int, is_terminating, items, meta, name, namespace, string_map, text,
};
use crate::registry::Resource;
use crate::server::Inner;
use crate::status::Status;

const DISRUPTION_BUDGETS: &str = "policy/poddisruptionbudgets";
const PRIORITY_CLASSES: &str = "scheduling.k8s.io/priorityclasses";
const SERVICE_ACCOUNTS: &str = "/serviceaccounts";
/// The account that each namespace has.
const DEFAULT_ACCOUNT: &str = "default";
/// Reason of the condition of a pod that was evicted.
const EVICTED: &str = "EvictionByEvictionAPI";

fn is(resource: &Resource) -> bool {
    resource.is("", "pods")
}

/// Service account, tolerations, priority, first status.
pub(super) fn prepare_create(
    server: &Inner,
    resource: &Resource,
    pod: &mut Value,
) -> Result<(), Status> {
    if !is(resource) {
        return Ok(());
    }
    default_at(pod, "/spec", "serviceAccountName", json!(DEFAULT_ACCOUNT));
    check_account(server, resource, pod)?;
    let account = pod["spec"]["serviceAccountName"].clone();
    default_at(pod, "/spec", "serviceAccount", account);
    tolerate_node_trouble(pod);
    set_priority(server, resource, pod)?;
    pod["status"] = json!({"phase": "Pending", "qosClass": qos_class(pod)});
    Ok(())
}

/// The account that a pod runs as must be there. The default one may come later: without a
/// controller nobody makes it, and pods are to run all the same.
fn check_account(server: &Inner, resource: &Resource, pod: &Value) -> Result<(), Status> {
    let (account, namespace) = (text(pod, "/spec/serviceAccountName"), namespace(pod));
    let is_known = || {
        let found = server.store.get(SERVICE_ACCOUNTS, namespace, account);
        found.is_some()
    };
    if ["", DEFAULT_ACCOUNT].contains(&account) || is_known() {
        return Ok(());
    }
    let why = format!(
        "error looking up service account {namespace}/{account}: serviceaccount {account:?} not found"
    );
    Err(Status::forbidden(resource, called(pod), &why))
}

/// What a pod is called that is refused before it is given a name.
fn called(pod: &Value) -> &str {
    match meta(pod, "generateName") {
        "" => name(pod),
        base => base,
    }
}

fn tolerate_node_trouble(pod: &mut Value) {
    if !pod["spec"].is_object() {
        return;
    }
    let mut tolerations = items(pod, "/spec/tolerations").to_vec();
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let covered = tolerations.iter().any(|toleration| {
            let (of, effect) = (text(toleration, "/key"), text(toleration, "/effect"));
            (of == key || of.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if !covered {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
    pod["spec"]["tolerations"] = json!(tolerations);
}

fn set_priority(server: &Inner, resource: &Resource, pod: &mut Value) -> Result<(), Status> {
    if !pod["spec"].is_object() {
        return Ok(());
    }
    let wanted = text(pod, "/spec/priorityClassName").to_owned();
    let class = if wanted.is_empty() {
        let (classes, _) = server.store.list(PRIORITY_CLASSES, None);
        classes
            .into_iter()
            .find(|class| class["globalDefault"] == true)
    } else {
        let found = server.store.get(PRIORITY_CLASSES, "", &wanted);
        if found.is_none() {
            let why = format!("no PriorityClass with name {wanted} was found");
            return Err(Status::forbidden(resource, called(pod), &why));
        }
        found
    };
    let value = class
        .as_ref()
        .map_or_else(|| json!(0), |class| class["value"].clone());
    let policy = class
        .as_ref()
        .map(|class| text(class, "/preemptionPolicy"))
        .filter(|p| !p.is_empty());
    if let Some(class) = &class {
        pod["spec"]["priorityClassName"] = json!(name(class));
    }
    pod["spec"]["priority"] = value;
    default_at(
        pod,
        "/spec",
        "preemptionPolicy",
        json!(policy.unwrap_or("PreemptLowerPriority")),
    );
    Ok(())
}

fn qos_class(pod: &Value) -> &'static str {
    let (mut any, mut all) = (false, true);
    for container in items(pod, "/spec/containers")
        .iter()
        .chain(items(pod, "/spec/initContainers"))
    {
        let limits = string_map(container, "/resources/limits");
        let requests = string_map(container, "/resources/requests");
        let asks = ["cpu", "memory"];
        any |= asks
            .iter()
            .any(|key| limits.contains_key(*key) || requests.contains_key(*key));
        all &= asks.iter().all(|key| {
            limits
                .get(*key)
                .is_some_and(|limit| requests.get(*key).is_none_or(|request| request == limit))
        });
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// The class of service is decided once; a status patch that forgets it does not lose it.
pub(super) fn prepare_update(resource: &Resource, old: &Value, new: &mut Value) {
    if is(resource)
        && let Some(class) = old.pointer("/status/qosClass")
    {
        default_at(new, "/status", "qosClass", class.clone());
    }
}

/// How long a deletion waits, seconds; zero for everything but pods that may be running somewhere.
pub(super) fn grace(resource: &Resource, pod: &Value, asked: Option<i64>) -> i64 {
    if !is(resource) {
        return 0;
    }
    if is_terminating(pod) && asked.is_none() {
        return int(pod, "/metadata/deletionGracePeriodSeconds");
    }
    let own = pod
        .pointer("/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_i64)
        .unwrap_or(30);
    let over = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    let unassigned = text(pod, "/spec/nodeName").is_empty();
    if over || unassigned {
        return 0;
    }
    // Negative periods are taken as one second, as the real strategy does.
    let period = asked.unwrap_or(own);
    if period < 0 { 1 } else { period }
}

/// POST pods/NAME/eviction: a deletion that asks the disruption budgets first.
pub(crate) fn evict(
    server: &Inner,
    target: &Target<'_>,
    options: &DeleteOptions,
) -> Result<Deleted, Status> {
    let _writer = server.lock_writer();
    let Some(pod) = server.find(target.resource, target.namespace, target.name) else {
        return Err(Status::not_found(target.resource, target.name));
    };
    let phase = text(&pod, "/status/phase");
    if !is_terminating(&pod) && !["Succeeded", "Failed", "Pending"].contains(&phase) {
        disrupt(server, target, &pod, options.dry_run)?;
    }
    super::delete::preconditions(target, &pod, options)?;
    let mut options = options.clone();
    if !options.dry_run {
        note_eviction(server, target.resource, &pod);
        // It was compared above, and is another one by now.
        options.resource_version = None;
    }
    super::delete::delete_locked(server, target, &options)
}

/// The condition by which controllers tell an eviction from a failure.
fn note_eviction(server: &Inner, resource: &Resource, pod: &Value) {
    let mut conditions = items(pod, "/status/conditions").to_vec();
    let is_target = |condition: &Value| condition["type"] == "DisruptionTarget";
    let known = conditions.iter().find(|condition| is_target(condition));
    if known.is_some_and(|c| c["status"] == "True" && c["reason"] == EVICTED) {
        return;
    }
    conditions.retain(|condition| !is_target(condition));
    conditions.push(json!({
        "type": "DisruptionTarget", "status": "True", "reason": EVICTED,
        "message": "Eviction API: evicting", "lastProbeTime": null,
        "lastTransitionTime": server.now_text(),
    }));
    let mut noted = pod.clone();
    noted["status"]["conditions"] = json!(conditions);
    server.store.put(&resource.table, noted);
}

fn is_ready(pod: &Value) -> bool {
    items(pod, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn disrupt(
    server: &Inner,
    target: &Target<'_>,
    pod: &Arc<Value>,
    dry_run: bool,
) -> Result<(), Status> {
    let (budgets, _) = server
        .store
        .list(DISRUPTION_BUDGETS, Some(target.namespace));
    let covering: Vec<Arc<Value>> = budgets
        .into_iter()
        .filter(|budget| covers(&budget["spec"]["selector"], pod))
        .collect();
    if covering.len() > 1 {
        return Err(Status::internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ));
    }
    let Some(budget) = covering.first() else {
        return Ok(());
    };
    let healthy = int(budget, "/status/currentHealthy");
    let desired = int(budget, "/status/desiredHealthy");
    if !is_ready(pod) {
        // It does not count as healthy: nothing is disrupted, unless others are missing too.
        let always = text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
        if always || (healthy >= desired && desired > 0) {
            return Ok(());
        }
    }
    if int(budget, "/status/observedGeneration") < int(budget, "/metadata/generation") {
        let why = format!(
            "The disruption budget {} is still being processed by the server.",
            name(budget)
        );
        let mut status = too_many(&why);
        if let Some(details) = &mut status.details {
            details.retry_after_s = Some(10);
        }
        return Err(status);
    }
    let allowed = int(budget, "/status/disruptionsAllowed");
    if allowed <= 0 {
        return Err(too_many(&format!(
            "The disruption budget {} needs {desired} healthy pods and has {healthy} currently",
            name(budget)
        )));
    }
    if !dry_run {
        let mut spent = Value::clone(budget);
        spent["status"]["disruptionsAllowed"] = json!(allowed - 1);
        spent["status"]["disruptedPods"][name(pod)] = json!(server.now_text());
        server.store.put(&Arc::from(DISRUPTION_BUDGETS), spent);
    }
    Ok(())
}

/// Refused by a budget for now.
fn too_many(why: &str) -> Status {
    let words = "Cannot evict pod as it would violate the pod's disruption budget.";
    Status::new(429, "TooManyRequests", words).with_cause("DisruptionBudget", why, "")
}

/// True if a LabelSelector object matches the pod's labels. An empty selector matches everything
/// (policy/v1).
fn covers(selector: &Value, pod: &Value) -> bool {
    let labels = string_map(pod, "/metadata/labels");
    let equal = string_map(selector, "/matchLabels")
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    selector.is_object()
        && equal
        && items(selector, "/matchExpressions")
            .iter()
            .all(|expression| {
                let have = labels.get(text(expression, "/key"));
                let listed =
                    have.is_some_and(|have| items(expression, "/values").iter().any(|v| v == have));
                match text(expression, "/operator") {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => have.is_some(),
                    "DoesNotExist" => have.is_none(),
                    _ => false,
                }
            })
}

/// POST pods/NAME/binding: assigns a pod to a node, once.
pub(crate) fn bind(
    server: &Inner,
    target: &Target<'_>,
    binding: &Value,
    options: &WriteOptions,
) -> Result<(), Status> {
    let _writer = server.lock_writer();
    let resource = target.resource;
    let Some(pod) = server.find(resource, target.namespace, target.name) else {
        return Err(Status::not_found(resource, target.name));
    };
    let node = text(binding, "/target/name");
    if node.is_empty() {
        let error = structural::FieldError::required("target.name", "");
        return Err(Status::invalid_kind("Binding", "", target.name, &[error]));
    }
    let assigned = text(&pod, "/spec/nodeName");
    let why = if is_terminating(&pod) {
        Some(format!(
            "pod {} is being deleted, cannot be assigned to a host",
            target.name
        ))
    } else if assigned.is_empty() {
        None
    } else {
        Some(format!(
            "pod {} is already assigned to node {assigned:?}",
            target.name
        ))
    };
    if let Some(why) = why {
        let subject = BindingName(Gvk::new("", "v1", "Binding"));
        return Err(Status::conflict(&subject, target.name, &why));
    }
    if options.dry_run {
        return Ok(());
    }
    let mut bound = Value::clone(&pod);
    bound["spec"]["nodeName"] = json!(node);
    for (key, value) in string_map(binding, "/metadata/annotations") {
        bound["metadata"]["annotations"][key] = json!(value);
    }
    let mut conditions = items(&bound, "/status/conditions").to_vec();
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": server.now_text(),
    }));
    bound["status"]["conditions"] = json!(conditions);
    server.store.put(&resource.table, bound);
    Ok(())
}

#[derive(Debug)]
struct BindingName(Gvk);

impl crate::status::Named for BindingName {
    fn group(&self) -> &str {
        &self.0.group
    }

    fn plural(&self) -> &'static str {
        "pods/binding"
    }

    fn kind(&self) -> &str {
        &self.0.kind
    }
}
