//! What can be said to `weir install`.

use crate::args::{ControllerArgs, instance_id};
use crate::lease::Election;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};
use cli::Switch;
use deploy::{Image, Memory, Settings};
use gocompat::labels::validate;
use gocompat::quantity::Quantity;

/// `weir install`.
#[derive(Clone, Debug, Args)]
pub struct InstallOptions {
    /// Print the manifests and change nothing
    #[arg(long, switch = Some(false))]
    pub dry_run: bool,
    /// A controller of its own namespace only, with rights nowhere else
    #[arg(long, switch = Some(false))]
    pub namespaced: bool,
    /// Only objects with this value of the label argo-rollouts.argoproj.io/controller-instance-id
    #[arg(long, value_name = "ID", value_parser = instance_id)]
    pub instance_id: Option<String>,
    /// Applications too; false is for a cluster in which Argo CD runs, and installs neither their
    /// definitions nor rights to them
    #[arg(long, switch = Some(true))]
    pub gitops: bool,
    /// The image to run; that of this version if absent
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// How many controllers; one acts, the others stand by
    #[arg(
        long,
        value_name = "N",
        default_value_t = Settings::REPLICAS,
        value_parser = clap::value_parser!(i32).range(0..)
    )]
    pub replicas: i32,
    /// Memory that is kept for a controller, like 1Gi; 128Mi if absent, or the limit if that is
    /// less
    #[arg(long, value_name = "QUANTITY", value_parser = memory)]
    pub memory_request: Option<String>,
    /// Memory beyond which a controller is killed, like 4Gi, or none; 2Gi if absent, or the request
    /// if that is more
    #[arg(long, value_name = "QUANTITY", value_parser = memory_limit)]
    pub memory_limit: Option<String>,
    /// A flag of `weir controller` with its value, such as --git-poll=60; may be given several
    /// times
    #[arg(
        long = "controller-arg",
        value_name = "FLAG",
        allow_hyphen_values = true,
        value_parser = controller_flag
    )]
    pub controller_args: Vec<String>,
    /// Force the changes against conflicts: take over fields that another manager has set, such as
    /// kubectl or Argo CD in the CustomResourceDefinitions of Argo Rollouts
    #[arg(long, switch = Some(false))]
    pub force_conflicts: bool,
}

impl Default for InstallOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            namespaced: false,
            instance_id: None,
            gitops: true,
            image: None,
            replicas: Settings::REPLICAS,
            memory_request: None,
            memory_limit: None,
            controller_args: Vec::new(),
            force_conflicts: false,
        }
    }
}

impl InstallOptions {
    /// What the manifests are made from.
    pub fn settings(&self, namespace: Option<String>) -> Settings {
        let image = self.image.clone().map(Image);
        Settings {
            namespace: namespace.unwrap_or_else(|| Settings::NAMESPACE.to_owned()),
            namespaced: self.namespaced,
            image: image.unwrap_or_default(),
            // An empty id is none.
            instance_id: self.instance_id.clone().filter(|id| !id.is_empty()),
            gitops: self.gitops,
            replicas: self.replicas,
            memory: self.memory(),
            arguments: self.controller_args.clone(),
        }
    }

    /// The API server refuses a request above the limit: the one that was not given gives way.
    fn memory(&self) -> Memory {
        let usual = Memory::default();
        let limit = match &self.memory_limit {
            Some(limit) => Some(limit.clone()).filter(|limit| limit != NO_LIMIT),
            None => match (&self.memory_request, usual.limit) {
                (Some(request), Some(limit)) => Some(more(request, &limit).to_owned()),
                (_, limit) => limit,
            },
        };
        let request = match (&self.memory_request, &limit) {
            (Some(request), _) => request.clone(),
            (None, Some(limit)) if bytes(limit) < bytes(&usual.request) => limit.clone(),
            (None, _) => usual.request,
        };
        Memory { request, limit }
    }
}

const NO_LIMIT: &str = "none";
/// Less was meant in another unit: `512` are bytes.
const MEMORY_MIN: i64 = 16 << 20;

/// 0 for what is none; flags have been looked at when they were read.
fn bytes(quantity: &str) -> i64 {
    Quantity::parse(quantity).map_or(0, |quantity| quantity.value())
}

fn more<'a>(one: &'a str, other: &'a str) -> &'a str {
    if bytes(one) > bytes(other) {
        one
    } else {
        other
    }
}

fn memory(text: &str) -> Result<String, String> {
    if bytes(text) < MEMORY_MIN {
        return Err("must be an amount of memory of at least 16Mi, such as 4Gi".to_owned());
    }
    Ok(text.to_owned())
}

fn memory_limit(text: &str) -> Result<String, String> {
    if text == NO_LIMIT {
        return Ok(text.to_owned());
    }
    memory(text).map_err(|why| format!("{why}, or none"))
}

/// Arguments of the controller that the manifests do not only have as flags, and what to do
/// instead. The chart refuses the same ones (crates/deploy/src/helm.rs).
const ELSEWHERE: [(&str, &str); 8] = [
    (
        "namespaced",
        "the rights depend on it: give --namespaced to `weir install` itself",
    ),
    (
        "instance_id",
        "`weir install` looks for controllers with the same one: give --instance-id to it itself",
    ),
    (
        "gitops",
        "rights and definitions depend on it: give --gitops=false to `weir install` itself",
    ),
    (
        "leader_elect",
        "the pods of an installation run side by side, at least while one takes the place of another, and \
         only the election keeps two from acting: leave --leader-elect out",
    ),
    (
        "metrics_port",
        "the Service, the NetworkPolicy and the ServiceMonitor name the port 8090",
    ),
    (
        "healthz_port",
        "the probes and the NetworkPolicy name the port 8080",
    ),
    (
        "git_cache",
        "the volume of the cache is at /var/cache/weir, and nothing else can be written to",
    ),
    (
        "pod_namespace",
        "it is the namespace of the installation: give --namespace to `weir install` itself",
    ),
];

fn controller_flags(flags: &[String]) -> Result<ArgMatches, clap::Error> {
    let command = Command::new("controller")
        .no_binary_name(true)
        .disable_help_flag(true);
    ControllerArgs::augment_args(command).try_get_matches_from(flags)
}

/// A flag that the controller takes. A mistake is told here, and not by a pod that does not start.
fn controller_flag(text: &str) -> Result<String, String> {
    let matches = controller_flags(&[text.to_owned()]);
    let matches = matches.map_err(|error| {
        let said = error.to_string();
        // What follows is the usage of a command that nobody has typed.
        let said = said.lines().next().unwrap_or_default();
        let said = said.strip_prefix("error: ").unwrap_or(said);
        format!("{said} (one flag each, with its value: --controller-arg=--git-poll=60)")
    })?;
    match ELSEWHERE.iter().find(|(id, _)| is_given(&matches, id)) {
        Some((_, why)) => Err((*why).to_owned()),
        None => Ok(text.to_owned()),
    }
}

/// Whether a controller with these settings can do what they ask for.
///
/// # Errors
/// What is wrong with a flag of the controller, and what to do about it.
pub fn check_flags(settings: &Settings) -> Result<(), String> {
    let flags = controller_flags(&settings.arguments).ok();
    let given = |id: &str| {
        let flags = flags.as_ref().filter(|flags| is_given(flags, id))?;
        flags.get_one::<String>(id).cloned()
    };
    check_lease(settings, given("leader_election_id"))?;
    let namespace = &settings.namespace;
    match given("control_namespace") {
        Some(named) if settings.namespaced && named != *namespace => Err(format!(
            "with --namespaced there are rights in the namespace {namespace} only, and Applications are \
             looked for there: leave --controller-arg=--control-namespace out"
        )),
        _ => Ok(()),
    }
}

fn is_given(flags: &ArgMatches, id: &str) -> bool {
    flags.value_source(id) == Some(ValueSource::CommandLine)
}

/// A controller that can't name its Lease ends as soon as it starts. `named` is the name by a flag.
fn check_lease(settings: &Settings, named: Option<String>) -> Result<(), String> {
    let lease = named.unwrap_or_else(|| Election::lease_name(settings.instance_id.as_deref()));
    match validate::dns_subdomain(&lease).into_iter().next() {
        Some(why) => Err(format!(
            "the Lease can't be named {lease:?}: {why}. Choose another --instance-id, or name the Lease with \
             --controller-arg=--leader-election-id=NAME"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Runs, command, runs};
    use serde_json::{Value, json};

    /// The options of a command line.
    fn options(arguments: &[&str]) -> Result<InstallOptions, String> {
        let line = ["weir", "install"]
            .into_iter()
            .chain(arguments.iter().copied());
        let matches = command().try_get_matches_from(line);
        let matches = matches.map_err(|error| error.to_string())?;
        match runs(&matches) {
            Some(Runs::Install(options)) => Ok(options),
            other => Err(format!("{other:?}")),
        }
    }

    /// The Deployment that `--dry-run` prints.
    fn printed(arguments: &[&str]) -> Value {
        let settings = options(arguments).unwrap().settings(None);
        let text = deploy::yaml(&deploy::install(&settings));
        let objects = gocompat::yaml::from_str(&text).unwrap();
        let mut objects = objects.into_iter();
        objects.find(|one| one["kind"] == "Deployment").unwrap()
    }

    fn container(deployment: &Value) -> &Value {
        &deployment["spec"]["template"]["spec"]["containers"][0]
    }

    #[test]
    fn an_empty_instance_id_is_none() {
        for (given, want) in [("", None), ("blue", Some("blue"))] {
            let options = options(&["--instance-id", given]).unwrap();
            assert_eq!(options.settings(None).instance_id.as_deref(), want);
        }
    }

    #[test]
    fn a_controller_that_could_not_name_its_lease_is_not_installed() {
        let checked = |arguments: &[&str]| check_flags(&options(arguments).unwrap().settings(None));
        for good in [
            &[][..],
            &["--instance-id="],
            &["--instance-id=blue"],
            &[
                "--instance-id=Blue",
                "--controller-arg=--git-poll=60",
                "--controller-arg=--leader-election-id=blue",
            ],
        ] {
            assert_eq!(checked(good), Ok(()), "{good:?}");
        }
        for (bad, word) in [
            (&["--instance-id=Blue"][..], "-Blue"),
            (&["--instance-id=a_b"], "--leader-election-id"),
            (&["--controller-arg=--leader-election-id=Mine"], "Mine"),
        ] {
            let error = checked(bad).unwrap_err();
            assert!(error.contains(word), "{bad:?}: {error}");
        }
    }

    #[test]
    fn applications_are_not_looked_for_where_there_are_no_rights() {
        let checked = |arguments: &[&str]| check_flags(&options(arguments).unwrap().settings(None));
        let elsewhere = "--controller-arg=--control-namespace=argocd";
        assert_eq!(checked(&[elsewhere]), Ok(()));
        assert_eq!(checked(&["--namespaced"]), Ok(()));
        let own = "--controller-arg=--control-namespace=argo-rollouts";
        assert_eq!(checked(&["--namespaced", own]), Ok(()));
        let error = checked(&["--namespaced", elsewhere]).unwrap_err();
        assert!(error.contains("--control-namespace out"), "{error}");
    }

    #[test]
    fn the_chart_refuses_the_same_flags() {
        let files = deploy::files();
        let chart = &files["helm/weir/templates/extra-args.yaml"];
        let command = ControllerArgs::augment_args(Command::new("controller"));
        for (id, _) in ELSEWHERE {
            let mut known = command.get_arguments();
            let arg = known.find(|arg| arg.get_id().as_str() == id).unwrap();
            let long = arg.get_long().unwrap();
            let refused = format!("eq $flag \"--{long}\" ");
            assert!(chart.contains(&refused), "{long}: {chart}");
        }
    }

    #[test]
    fn without_flags_the_options_are_the_default_ones() {
        let none = options(&[]).unwrap();
        assert_eq!(
            format!("{none:?}"),
            format!("{:?}", InstallOptions::default())
        );
        assert_eq!(none.settings(None), Settings::default());
    }

    #[test]
    fn flags_of_the_controller_are_in_the_manifests() {
        let deployment = printed(&[
            "--gitops=false",
            "--instance-id=blue",
            "--controller-arg=--git-poll=60",
            "--controller-arg",
            "--logformat=text",
            "--controller-arg=--deny-mutable-tags",
            "--replicas=1",
        ]);
        assert_eq!(deployment["spec"]["replicas"], 1);
        let arguments = &container(&deployment)["args"];
        let want = json!([
            "controller",
            "--git-cache=/var/cache/weir",
            "--logformat=json",
            "--instance-id=blue",
            "--gitops=false",
            "--git-poll=60",
            "--logformat=text",
            "--deny-mutable-tags",
        ]);
        assert_eq!(*arguments, want);
        // The controller takes them as they are printed.
        let printed: Vec<&str> = want
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let line = std::iter::once("weir").chain(printed);
        let matches = command().try_get_matches_from(line).unwrap();
        let Some(Runs::Controller(args)) = runs(&matches) else {
            panic!("it runs the controller");
        };
        assert!(args.deny_mutable_tags && !args.gitops);
        assert_eq!(args.git_poll, 60);
    }

    #[test]
    fn a_flag_that_the_controller_does_not_take_is_refused_with_the_reason() {
        for (flag, word) in [
            ("--git-pol=60", "--git-pol"),
            ("--git-poll=soon", "--git-poll"),
            ("--git-poll", "--controller-arg=--git-poll=60"),
            ("now", "now"),
            ("--help", "--help"),
            ("--namespaced", "give --namespaced to `weir install`"),
            ("--instance-id=a", "--instance-id"),
            ("--gitops=false", "give --gitops=false to `weir install`"),
            ("--leader-elect=false", "keeps two from acting"),
            ("--metricsport=9", "8090"),
            ("--healthzPort=9", "8080"),
            ("--git-cache=/tmp", "/var/cache/weir"),
            ("--pod-namespace=a", "give --namespace to `weir install`"),
        ] {
            let error = options(&["--controller-arg", flag]).unwrap_err();
            assert!(error.contains(word), "{flag}: {error}");
        }
    }

    #[test]
    fn memory_is_what_was_asked_for_and_a_request_is_never_above_the_limit_that_follows() {
        for (line, request, limit) in [
            (&[][..], "128Mi", Some("2Gi")),
            (&["--memory-limit=4Gi"], "128Mi", Some("4Gi")),
            (&["--memory-limit=64Mi"], "64Mi", Some("64Mi")),
            (&["--memory-limit=none"], "128Mi", None),
            (&["--memory-request=1Gi"], "1Gi", Some("2Gi")),
            (&["--memory-request=3Gi"], "3Gi", Some("3Gi")),
            (
                &["--memory-request=3Gi", "--memory-limit=5G"],
                "3Gi",
                Some("5G"),
            ),
        ] {
            let deployment = printed(line);
            let resources = &container(&deployment)["resources"];
            assert_eq!(resources["requests"]["memory"], request, "{line:?}");
            assert_eq!(resources["limits"]["memory"].as_str(), limit, "{line:?}");
        }
        for line in [
            "--memory-limit=lots",
            "--memory-limit=512",
            "--memory-request=none",
        ] {
            let error = options(&[line]).unwrap_err();
            assert!(error.contains("16Mi"), "{line}: {error}");
        }
    }
}
