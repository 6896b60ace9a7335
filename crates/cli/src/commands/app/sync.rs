//! `app sync`: asks for a synchronisation, and waits for its result.

use super::verbs;
use crate::commands::names::{name, parse_duration, the_name};
use crate::context::Context;
use crate::error::Error;
use crate::patience::Patience;
use crate::render;
use crate::switch::switch;
use api::{Application, Operation, OperationInitiator, OperationPhase, OperationState};
use api::{
    SyncOperation, SyncOperationResource, SyncStrategy, SyncStrategyApply, SyncStrategyHook,
};
use clap::{Arg, ArgAction, ArgMatches, Command};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// How often the operation is looked at. A sync takes seconds at least.
const POLL: Duration = Duration::from_millis(500);

/// The sync option that `--replace` stands for.
const REPLACE: &str = "Replace=true";

pub(super) fn cli() -> Command {
    Command::new("sync")
        .about("Bring an application to what Git has, and wait for the result")
        .arg(name("Name of the application"))
        .arg(
            Arg::new("revision")
                .long("revision")
                .value_name("REVISION")
                .help("Commit, branch or tag instead of the application's own"),
        )
        .arg(switch("prune", "Delete what Git doesn't have any more"))
        .arg(switch("dry-run", "Only see what would happen"))
        .arg(switch("force", "Delete what can't be changed in place, and create it anew"))
        .arg(switch(
            "replace",
            "Replace whole objects by what Git has, instead of applying that",
        ))
        .arg(
            Arg::new("strategy")
                .long("strategy")
                .value_name("STRATEGY")
                .help("apply leaves hooks out; hook, the default, fails if there are any: none is run yet")
                .value_parser(["hook", "apply"]),
        )
        .arg(
            Arg::new("resource")
                .long("resource")
                .value_name("GROUP:KIND:NAME")
                .help("Only this resource; may be given several times")
                .action(ArgAction::Append)
                .value_parser(parse_resource),
        )
        .arg(switch("async", "Don't wait for the result"))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("DURATION")
                .help("How long to wait, like 90s or 1h; 0 waits forever")
                .value_parser(parse_duration),
        )
}

/// `group:kind:name`; the group is empty for core kinds; the name may begin with a namespace.
fn parse_resource(text: &str) -> Result<SyncOperationResource, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [group, kind, name] = parts[..] else {
        return Err("must be GROUP:KIND:NAME or GROUP:KIND:NAMESPACE/NAME".to_owned());
    };
    if kind.is_empty() || name.is_empty() {
        return Err("must be GROUP:KIND:NAME or GROUP:KIND:NAMESPACE/NAME".to_owned());
    }
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, name),
    };
    Ok(SyncOperationResource {
        group: Some(group.to_owned()).filter(|group| !group.is_empty()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace,
    })
}

/// The operation that the flags ask for, with the options and retries of the application (gitops.md
/// §44, §63): who asks copies them, the controller goes by the operation alone.
fn operation(app: &Application, args: &ArgMatches) -> Operation {
    let set = |name: &str| Some(args.get_flag(name)).filter(|set| *set);
    let force = set("force");
    let strategy = match args.get_one::<String>("strategy").map(String::as_str) {
        Some("apply") => Some(SyncStrategy {
            apply: Some(SyncStrategyApply { force }),
            hook: None,
        }),
        Some(_) => Some(SyncStrategy {
            apply: None,
            hook: Some(SyncStrategyHook { force }),
        }),
        None if force.is_some() => Some(SyncStrategy {
            apply: None,
            hook: Some(SyncStrategyHook { force }),
        }),
        None => None,
    };
    let resources = args.get_many::<SyncOperationResource>("resource");
    let policy = app.spec.sync_policy.as_ref();
    let mut options = policy.map_or_else(Vec::new, |policy| policy.sync_options.clone());
    if args.get_flag("replace") && !options.iter().any(|option| option == REPLACE) {
        options.push(REPLACE.to_owned());
    }
    Operation {
        sync: Some(SyncOperation {
            revision: args.get_one::<String>("revision").cloned(),
            prune: set("prune"),
            dry_run: set("dry-run"),
            sync_strategy: strategy,
            resources: resources.into_iter().flatten().cloned().collect(),
            sync_options: options,
            ..SyncOperation::default()
        }),
        retry: policy
            .and_then(|policy| policy.retry.clone())
            .unwrap_or_default(),
        initiated_by: OperationInitiator {
            username: Some("weir".to_owned()),
            ..OperationInitiator::default()
        },
        ..Operation::default()
    }
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let name = the_name(args);
    let before = verbs::read(cx, name).await?;
    if before.operation.is_some() {
        let message = format!("another operation of application '{name}' is in progress");
        return Err(Error::Refused(message));
    }
    let operation = operation(&before, args);
    let known = before.status.and_then(|status| status.operation_state);
    // The version that was read: two people who ask at the same time must not both be right.
    let patch = json!({
        "metadata": {"resourceVersion": before.metadata.resource_version},
        "operation": operation,
    });
    let applications = verbs::applications(cx).await?;
    let patched = applications
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    patched.map_err(Error::api(format!("sync application \"{name}\"")))?;
    if args.get_flag("async") {
        cx.term
            .line(format_args!("application '{name}' sync requested"))?;
        return Ok(());
    }
    let limit = args
        .get_one::<Option<Duration>>("timeout")
        .copied()
        .flatten();
    let wait = Box::pin(wait(cx, name, known.as_ref()));
    let done = match limit {
        Some(limit) => tokio::time::timeout(limit, wait).await.map_err(|_| {
            Error::OperationFailed(format!("the sync of application '{name}' takes too long"))
        })?,
        None => wait.await,
    }?;
    cx.term.text(render::operation(&done))?;
    match done.phase {
        OperationPhase::Succeeded => Ok(()),
        phase => Err(Error::OperationFailed(format!(
            "sync {}: {}",
            phase.as_str(),
            done.message
        ))),
    }
}

/// The state of our operation, once it has ended.
async fn wait(
    cx: &mut Context,
    name: &str,
    known: Option<&OperationState>,
) -> Result<OperationState, Error> {
    let mut patience = Patience::default();
    // The operation goes on whether or not anybody looks.
    patience.seen();
    loop {
        let status = match verbs::read(cx, name).await {
            Ok(application) => application.status.unwrap_or_default(),
            Err(error) => {
                patience.sit_out(cx, error).await?;
                continue;
            }
        };
        patience.seen();
        // The state of an earlier operation stays until the controller takes ours up.
        let fresh = status
            .operation_state
            .filter(|state| known.is_none_or(|known| !is_same(known, state)));
        if let Some(state) = fresh.filter(|state| is_final(state.phase)) {
            return Ok(state);
        }
        sleep(POLL).await;
    }
}

fn is_same(a: &OperationState, b: &OperationState) -> bool {
    a.started_at == b.started_at && a.finished_at == b.finished_at
}

fn is_final(phase: OperationPhase) -> bool {
    matches!(
        phase,
        OperationPhase::Succeeded | OperationPhase::Failed | OperationPhase::Error
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(policy: &serde_json::Value) -> Application {
        let spec = json!({
            "project": "default", "destination": {},
            "source": {"repoURL": "https://git.example/shop"}, "syncPolicy": policy,
        });
        serde_json::from_value(json!({"metadata": {"name": "shop"}, "spec": spec})).unwrap()
    }

    fn parsed(args: &[&str]) -> serde_json::Value {
        let args = std::iter::once(&"sync").chain(args);
        let args = cli().try_get_matches_from(args).unwrap();
        serde_json::to_value(operation(&app(&json!({})), &args)).unwrap()
    }

    #[test]
    fn options_and_retries_of_the_application_hold_for_who_asks() {
        let policy = json!({"syncOptions": ["Prune=false"], "retry": {"limit": 3}});
        let args = cli().try_get_matches_from(["sync", "shop"]).unwrap();
        let asked = serde_json::to_value(operation(&app(&policy), &args)).unwrap();
        assert_eq!(asked["sync"], json!({"syncOptions": ["Prune=false"]}));
        assert_eq!(asked["retry"]["limit"], 3);
        let asked_to_replace = |policy: &serde_json::Value| {
            let args = cli().try_get_matches_from(["sync", "shop", "--replace"]);
            operation(&app(policy), &args.unwrap()).sync.unwrap()
        };
        let sync = asked_to_replace(&policy);
        assert_eq!(sync.sync_options, ["Prune=false", "Replace=true"]);
        let sync = asked_to_replace(&json!({"syncOptions": ["Replace=true"]}));
        assert_eq!(sync.sync_options, ["Replace=true"]);
    }

    #[test]
    fn flags_become_an_operation() {
        let plain = parsed(&["app"]);
        assert_eq!(plain["sync"], json!({}));
        assert_eq!(plain["initiatedBy"], json!({"username": "weir"}));
        let full = parsed(&[
            "app",
            "--revision",
            "abc",
            "--prune",
            "--dry-run",
            "--strategy",
            "apply",
            "--force",
            "--resource",
            "apps:Deployment:web",
            "--resource",
            ":Service:ns/web",
        ]);
        let want = json!({
            "revision": "abc", "prune": true, "dryRun": true,
            "syncStrategy": {"apply": {"force": true}},
            "resources": [
                {"group": "apps", "kind": "Deployment", "name": "web"},
                {"kind": "Service", "name": "web", "namespace": "ns"},
            ],
        });
        assert_eq!(full["sync"], want);
    }

    #[test]
    fn a_resource_has_three_parts() {
        assert!(parse_resource("Deployment:web").is_err());
        assert!(parse_resource("apps::web").is_err());
    }
}
