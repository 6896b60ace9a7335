//! The Helm chart, made from the same objects: what a user may choose is put in as a marker, and
//! the marker's place in the text becomes a template.

use crate::install::yaml;
use crate::monitoring::monitoring;
use crate::settings::{Image, Memory, Settings};
use crate::{controller, rbac};
use serde_json::{Value, json};

const CHART: &str = "\
apiVersion: v2
name: weir
description: Progressive delivery for Kubernetes: canaries, blue-green, analysis and GitOps
type: application
version: @VERSION@
appVersion: v@VERSION@
kubeVersion: '>=1.27.0-0'
";

const VALUES: &str = "\
# How many controllers; one acts, the others stand by.
replicas: @REPLICAS@
image:
  repository: @REPOSITORY@
  # The chart's appVersion if empty.
  tag: ''
imagePullSecrets: []
# Only the namespace of the release, and rights nowhere else. Install the CRDs and set --skip-crds if
# you may not make them.
namespaced: false
# Only objects with this controller-instance-id.
instanceId: ''
# Applications too. False: no rights and no flag for them, for a cluster in which Argo CD runs; set
# --skip-crds then, and apply the definitions of Rollouts yourself.
gitops: true
# More flags of `weir controller`, such as --git-poll=60. Of a flag that is given twice the last one holds.
# Refused are --leader-elect, and flags that rights, ports, volumes or other values go by.
extraArgs: []
# What Applications may deploy. False: grant it yourself, by ClusterRoles with the label
# weir.dev/aggregate-to-gitops: 'true'.
gitopsCommonRole: true
# For 10,000 Rollouts of two pods; the section Memory of docs/install.md says how much for how many.
resources:
@RESOURCES@
nodeSelector: {}
tolerations: []
affinity: {}
networkPolicy:
  enabled: true
# Both need the Prometheus operator.
serviceMonitor:
  enabled: false
prometheusRule:
  enabled: false
";

const NOTES: &str = "\
{{ .Chart.Name }} {{ .Chart.AppVersion }} runs in the namespace {{ .Release.Namespace }}. What it lacks, if anything, is said by
weir check --namespace {{ .Release.Namespace }}{{ if .Values.namespaced }} --namespaced{{ end }}{{ if not .Values.gitops }} --gitops=false{{ end }}{{ with .Values.instanceId }} --instance-id={{ . }}{{ end }}
";

const NAMESPACE: &str = "{{ .Release.Namespace }}";

const METRICS_PORT: &str =
    "the Service, the NetworkPolicy and the ServiceMonitor name the port 8090";
const OWN_NAMESPACE: &str =
    "with the value namespaced there are rights in the release's namespace only; leave it out";

/// Flags that the rest of the chart goes by, and what to do instead of naming them in `extraArgs`.
/// `weir install` refuses the same ones.
const REFUSED: [(&str, &str); 9] = [
    (
        "--namespaced",
        "rights depend on it; set the value namespaced",
    ),
    ("--instance-id", "set the value instanceId"),
    ("--gitops", "rights depend on it; set the value gitops"),
    (
        "--leader-elect",
        "the pods run side by side, at least while one takes the place of another, and only the election \
         keeps two from acting; leave it out",
    ),
    ("--metricsPort", METRICS_PORT),
    ("--metricsport", METRICS_PORT),
    (
        "--healthzPort",
        "the probes and the NetworkPolicy name the port 8080",
    ),
    (
        "--git-cache",
        "the volume of the cache is at /var/cache/weir, and nothing else can be written to",
    ),
    (
        "--pod-namespace",
        "it is the namespace of the release; leave it out",
    ),
];

/// The same where there are rights in the namespace of the release only.
const REFUSED_NAMESPACED: [(&str, &str); 3] = [
    ("--control-namespace", OWN_NAMESPACE),
    ("--namespace", OWN_NAMESPACE),
    ("-n", OWN_NAMESPACE),
];

/// Chart files by path below the chart, without the CustomResourceDefinitions.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    let image = Image::default().0;
    let repository = image
        .rsplit_once(':')
        .map_or("", |(repository, _)| repository);
    let resources = controller::resources(&Memory::default());
    let resources = indented(&yaml(&[resources]), 2);
    let chart = CHART.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    // A colon in a plain scalar would begin a mapping.
    let chart = chart.replace(
        "description: Progressive delivery for Kubernetes: canaries",
        "description: >-\n  Progressive delivery for Kubernetes: canaries",
    );
    vec![
        ("Chart.yaml", chart),
        (
            "values.yaml",
            VALUES
                .replace("@REPLICAS@", &Settings::REPLICAS.to_string())
                .replace("@REPOSITORY@", repository)
                .replace("@RESOURCES@", &resources),
        ),
        ("templates/NOTES.txt", NOTES.to_owned()),
        ("templates/controller.yaml", of_controller()),
        ("templates/extra-args.yaml", of_extra_arguments()),
        ("templates/rbac.yaml", of_rights()),
        ("templates/monitoring.yaml", of_monitoring()),
    ]
}

fn templated(namespaced: bool, gitops: bool) -> Settings {
    Settings {
        namespace: NAMESPACE.to_owned(),
        namespaced,
        image: Image(
            "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
                .to_owned(),
        ),
        gitops,
        ..Settings::default()
    }
}

fn of_controller() -> String {
    let mut parts = Vec::new();
    for mut object in controller::objects(&templated(false, true)) {
        match object["kind"].as_str() {
            Some("Deployment") => {
                mark(&mut object);
                parts.push(unmark(&yaml(&[object])));
            }
            Some("NetworkPolicy") => {
                let text = yaml(&[object]);
                parts.push(format!(
                    "{{{{- if .Values.networkPolicy.enabled }}}}\n{text}{{{{- end }}}}\n"
                ));
            }
            _ => parts.push(yaml(&[object])),
        }
    }
    parts.join("---\n")
}

/// Fields of a pod that users may add, absent if empty.
const OPTIONAL: [&str; 4] = [
    "affinity",
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
];

fn mark(deployment: &mut Value) {
    let spec = &mut deployment["spec"];
    spec["replicas"] = json!("@REPLICAS@");
    let pod = &mut spec["template"]["spec"];
    for field in OPTIONAL {
        pod[field] = json!("@OPTIONAL@");
    }
    let container = &mut pod["containers"][0];
    container["resources"] = json!("@RESOURCES@");
    if let Some(arguments) = container["args"].as_array_mut() {
        arguments.push(json!("@ARGUMENTS@"));
    }
}

/// Puts templates where the markers are, each at the indentation of its line.
fn unmark(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        let spaces = line.len() - line.trim_start().len();
        let pad = " ".repeat(spaces);
        if line.contains("@REPLICAS@") {
            let piece = format!("{pad}replicas: {{{{ .Values.replicas }}}}\n");
            out.push_str(&piece);
        } else if line.contains("@RESOURCES@") {
            let piece = format!(
                "{pad}resources:\n{pad}  {{{{- toYaml .Values.resources | nindent {} }}}}\n",
                spaces + 2
            );
            out.push_str(&piece);
        } else if line.contains("@ARGUMENTS@") {
            out.push_str(&arguments(&pad));
        } else if line.contains("@OPTIONAL@") {
            let field = line[indent..].split(':').next().unwrap_or_default();
            let piece = format!(
                "{pad}{{{{- with .Values.{field} }}}}\n{pad}{field}:\n{pad}  {{{{- toYaml . | nindent {} }}}}\n{pad}{{{{- end }}}}\n",
                spaces + 2
            );
            out.push_str(&piece);
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn arguments(pad: &str) -> String {
    let lines = [
        "{{- if .Values.namespaced }}",
        "- --namespaced",
        "- --control-namespace=$(POD_NAMESPACE)",
        "{{- end }}",
        "{{- with .Values.instanceId }}",
        "- {{ printf \"--instance-id=%s\" . | quote }}",
        "{{- end }}",
        "{{- if not .Values.gitops }}",
        "- --gitops=false",
        "{{- end }}",
        "{{- range .Values.extraArgs }}",
        "- {{ . | quote }}",
        "{{- end }}",
    ];
    indented(&lines.join("\n"), pad.len()) + "\n"
}

/// Makes no objects: it fails where `extraArgs` has a flag that the rest of the chart contradicts.
/// A flag of one letter may have its value right behind it.
fn of_extra_arguments() -> String {
    let always = REFUSED.iter().map(refused).collect::<String>();
    let namespaced = REFUSED_NAMESPACED.iter().map(refused).collect::<String>();
    format!(
        "# Makes no objects: refuses what extraArgs must not have.\n\
         {{{{- range .Values.extraArgs }}}}\n\
         {{{{- $flag := toString . | splitList \"=\" | first }}}}\n\
         {{{{- if not (hasPrefix \"--\" $flag) }}}}{{{{ $flag = substr 0 2 $flag }}}}{{{{ end }}}}\n\
         {always}\
         {{{{- if $.Values.namespaced }}}}\n\
         {namespaced}\
         {{{{- end }}}}\n\
         {{{{- end }}}}\n"
    )
}

fn refused((flag, why): &(&str, &str)) -> String {
    let fail = format!("{{{{ fail \"extraArgs has {flag}: {why}\" }}}}");
    format!("{{{{- if eq $flag \"{flag}\" }}}}{fail}{{{{ end }}}}\n")
}

fn of_rights() -> String {
    let text = |namespaced: bool| {
        let with = rbac::objects(&templated(namespaced, true));
        let without = rbac::objects(&templated(namespaced, false));
        let texts = with.iter().map(|object| of_right(object, &without));
        texts.collect::<String>()
    };
    let text = format!(
        "{{{{- if .Values.namespaced }}}}\n{}{{{{- else }}}}\n{}{{{{- end }}}}\n",
        text(true),
        text(false)
    );
    // The end of a name as `Settings::of_cluster` makes it: not in the namespace that is the usual
    // one.
    let end = format!(":{NAMESPACE}");
    let usual = Settings::NAMESPACE;
    let chosen = format!("{{{{ if ne .Release.Namespace \"{usual}\" }}}}{end}{{{{ end }}}}");
    text.replace(&end, &chosen)
}

/// A role or binding, under the values that it depends on. `without` are those that there are
/// without GitOps.
fn of_right(object: &Value, without: &[Value]) -> String {
    let text = yaml(std::slice::from_ref(object));
    let is_same = |other: &&Value| {
        other["kind"] == object["kind"] && other["metadata"]["name"] == object["metadata"]["name"]
    };
    match without.iter().find(is_same) {
        Some(other) if other == object => format!("---\n{text}"),
        Some(other) => {
            let other = yaml(std::slice::from_ref(other));
            format!(
                "---\n{{{{- if .Values.gitops }}}}\n{text}{{{{- else }}}}\n{other}{{{{- end }}}}\n"
            )
        }
        None => {
            let condition = if is_common(object) {
                "and .Values.gitops .Values.gitopsCommonRole"
            } else {
                ".Values.gitops"
            };
            format!("{{{{- if {condition} }}}}\n---\n{text}{{{{- end }}}}\n")
        }
    }
}

/// Whether it is the role with what Applications usually deploy, which users may leave out.
fn is_common(object: &Value) -> bool {
    let common = match object["kind"].as_str() {
        Some("Role") => "weir-gitops".to_owned(),
        Some("ClusterRole") => templated(false, true).of_cluster("weir-gitops-common"),
        _ => return false,
    };
    object["metadata"]["name"] == common
}

fn of_monitoring() -> String {
    let mut out = String::new();
    for object in monitoring(&templated(false, true)) {
        let (value, text) = match object["kind"].as_str() {
            Some("PrometheusRule") => ("prometheusRule", escaped(&yaml(&[object]))),
            _ => ("serviceMonitor", yaml(&[object])),
        };
        let piece = format!("{{{{- if .Values.{value}.enabled }}}}\n---\n{text}{{{{- end }}}}\n");
        out.push_str(&piece);
    }
    out
}

/// Prometheus has templates in double braces as well: Helm must leave them alone.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{ $labels.") {
        let (label, tail) = after.split_once(" }}").unwrap_or((after, ""));
        out.push_str(before);
        let piece = format!("{{{{`{{{{ $labels.{label} }}}}`}}}}");
        out.push_str(&piece);
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn indented(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    let lines: Vec<String> = text.lines().map(|line| format!("{pad}{line}")).collect();
    lines.join("\n")
}
