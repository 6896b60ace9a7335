//! Kustomize, by `kustomize` or `kubectl kustomize`, whichever is there.

use super::directory::{Read, read_yaml};
use super::error::{Result, SourceError};
use super::git::Git;
use super::process::{Bounds, Output, ProcessError, harden, run, without_credentials};
use super::tree::{canonical, relative};
use api::{ApplicationSourceKustomize, IntOrString, KustomizePatch};
use gocompat::yaml;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Names of the file that makes a folder a kustomization.
pub const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The folder that is put into a checked-out tree for what the Application adds.
const OVERLAY: &str = ".weir-overlay";
const SCHEMA_FILE: &str = "schema.json";
const KINDS_FILE: &str = "kinds.json";

/// What Kustomize made, and what it warned of.
#[derive(Debug, Default)]
pub struct Rendered {
    pub read: Read,
    pub warnings: Vec<String>,
}

/// Renders the kustomization in `folder`, which is inside the tree `root`.
///
/// The tree gets an overlay that holds what `options` asks for, and the schema of our kinds, so that
/// a patch of one container of a Rollout leaves the rest of it alone (acceptance.md F5). Where the
/// repository brings a schema of its own, that one holds.
pub async fn render(
    git: &Git,
    root: &Path,
    folder: &Path,
    options: &ApplicationSourceKustomize,
) -> Result<Rendered> {
    let root = canonical(root)?;
    let path = relative(&root, folder);
    let (overlay, source) = (root.join(OVERLAY), folder.to_owned());
    let options = options.clone();
    let tree = root.clone();
    let from = super::git::blocking(move || {
        let content = overlay_of(&tree, &source, &options)?;
        let Some(content) = content else {
            return Ok(source);
        };
        write_overlay(&overlay, &content)?;
        Ok(overlay)
    })
    .await?;
    let output = build(git, &root, &from, &path).await?;
    if !output.success {
        let reason = reason(&output.stderr, &root);
        return Err(SourceError::Render {
            path,
            reason: format!("kustomize failed: {reason}"),
        });
    }
    let mut out = Rendered::default();
    for line in output.stderr.lines() {
        let warning = line.trim_start_matches('#').trim();
        if let Some(text) = warning.strip_prefix("Warning:") {
            let text = format!("{path}: {}", text.trim());
            if !out.warnings.contains(&text) {
                out.warnings.push(text);
            }
        }
    }
    let name = format!("{path} (kustomize)");
    match String::from_utf8(output.stdout) {
        Ok(text) => read_yaml(&name, &text, &mut out.read),
        Err(_) => out
            .read
            .errors
            .push(format!("{name}: the output is not UTF-8 text")),
    }
    Ok(out)
}

/// Runs the first of the two programs that is there.
async fn build(git: &Git, root: &Path, from: &Path, path: &str) -> Result<Output> {
    let config = git.config().await?;
    // It fetches remote bases into temporary folders, and is killed with them if that takes too long.
    let home = git.scratch("home-").await?;
    let bounds: Bounds = git.bounds();
    for (program, verb) in [("kustomize", "build"), ("kubectl", "kustomize")] {
        let mut command = Command::new(program);
        harden(&mut command, &config);
        command
            .current_dir(root)
            .arg(verb)
            .arg(from)
            .env("KUBECONFIG", home.path().join("none"))
            .env("TMPDIR", home.path());
        match run(command, bounds).await {
            Err(ProcessError::Missing { .. }) => {}
            result => return result.map_err(SourceError::process(format!("path '{path}'"))),
        }
    }
    Err(SourceError::Render {
        path: path.to_owned(),
        reason: "this is a kustomization, and neither kustomize nor kubectl is installed where the controller runs"
            .to_owned(),
    })
}

/// What Kustomize says, as seen from the repository.
fn reason(stderr: &str, root: &Path) -> String {
    let text = without_credentials(stderr).replace(&format!("{}/", root.display()), "");
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("# Warning"))
        .collect();
    let text = lines.join(" ");
    // Some versions wrap what they say into a log line.
    let text = match text.split_once("err=\"") {
        Some((_, inner)) => inner.trim_end_matches('"').replace("\\\"", "\""),
        None => text,
    };
    text.trim_start_matches("Error:")
        .trim_start_matches("error:")
        .trim()
        .chars()
        .take(2000)
        .collect()
}

/// The kustomization over the one in `folder`; `None` if it would add nothing.
fn overlay_of(
    root: &Path,
    folder: &Path,
    options: &ApplicationSourceKustomize,
) -> Result<Option<Value>> {
    let path = relative(root, folder);
    refuse(options, &path)?;
    let mut out = changes(options);
    if !options.patches.is_empty() {
        let patches: Result<Vec<Value>> = options
            .patches
            .iter()
            .map(|patch| patch_of(root, folder, patch))
            .collect();
        out.insert("patches".to_owned(), patches?.into());
    }
    if !options.components.is_empty() {
        let components = options
            .components
            .iter()
            .map(|name| format!("../{path}/{name}"));
        out.insert(
            "components".to_owned(),
            components.collect::<Vec<_>>().into(),
        );
    }
    let own_schema = !has_schema(root, folder);
    if out.is_empty() && !own_schema {
        return Ok(None);
    }
    if !out.is_empty() {
        out.insert("configurations".to_owned(), json!([KINDS_FILE]));
    }
    out.insert(
        "apiVersion".to_owned(),
        "kustomize.config.k8s.io/v1beta1".into(),
    );
    out.insert("kind".to_owned(), "Kustomization".into());
    let below = if path.is_empty() {
        "..".to_owned()
    } else {
        format!("../{path}")
    };
    out.insert("resources".to_owned(), json!([below]));
    if own_schema {
        out.insert("openapi".to_owned(), json!({"path": SCHEMA_FILE}));
    }
    Ok(Some(Value::Object(out)))
}

/// The fields of a kustomization that need nothing from the repository.
fn changes(options: &ApplicationSourceKustomize) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    for (key, text) in [
        ("namePrefix", &options.name_prefix),
        ("nameSuffix", &options.name_suffix),
        ("namespace", &options.namespace),
    ] {
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            put(key, text.into());
        }
    }
    if !options.images.is_empty() {
        let images: Vec<Value> = options.images.iter().map(|image| image_of(image)).collect();
        put("images", images.into());
    }
    if !options.replicas.is_empty() {
        let replicas = options.replicas.iter().map(|replica| {
            // Kustomize wants a number where the API also takes a string of digits.
            let count = match &replica.count {
                IntOrString::Int(count) => Value::from(*count),
                IntOrString::String(text) => text
                    .parse::<i32>()
                    .map_or_else(|_| text.as_str().into(), Value::from),
            };
            json!({"name": replica.name, "count": count})
        });
        put("replicas", replicas.collect::<Vec<_>>().into());
    }
    if !options.common_labels.is_empty() {
        let without = options.label_without_selector.unwrap_or(false);
        put(
            "labels",
            json!([{
                "pairs": options.common_labels,
                "includeSelectors": !without,
                "includeTemplates": !without || options.label_include_templates.unwrap_or(false),
            }]),
        );
    }
    if !options.common_annotations.is_empty() {
        put("commonAnnotations", json!(options.common_annotations));
    }
    out
}

/// Options that would not do what they ask for.
fn refuse(options: &ApplicationSourceKustomize, path: &str) -> Result<()> {
    let asked = [
        (
            options.common_annotations_envsubst.unwrap_or(false),
            "kustomize.commonAnnotationsEnvsubst",
        ),
        (
            options.ignore_missing_components.unwrap_or(false),
            "kustomize.ignoreMissingComponents",
        ),
        (
            options
                .version
                .as_ref()
                .is_some_and(|version| !version.is_empty()),
            "kustomize.version",
        ),
    ];
    match asked.iter().find(|(is_asked, _)| *is_asked) {
        Some((_, what)) => Err(SourceError::Unsupported {
            path: path.to_owned(),
            what: (*what).to_owned(),
        }),
        None => Ok(()),
    }
}

/// `[old=]new[:tag][@digest]`.
fn image_of(text: &str) -> Value {
    let (old, new) = match text.split_once('=') {
        Some((old, new)) => (Some(old), new),
        None => (None, text),
    };
    let (rest, digest) = match new.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (new, None),
    };
    // A colon before the last slash is that of a port.
    let name_at = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest[name_at..].split_once(':') {
        Some((_, tag)) => (&rest[..rest.len() - tag.len() - 1], Some(tag)),
        None => (rest, None),
    };
    let mut out = json!({"name": old.unwrap_or(name)});
    if old.is_some() {
        out["newName"] = name.into();
    }
    if let Some(tag) = tag {
        out["newTag"] = tag.into();
    }
    if let Some(digest) = digest {
        out["digest"] = digest.into();
    }
    out
}

/// A patch with its text in place: Kustomize reads no file above its own folder.
fn patch_of(root: &Path, folder: &Path, patch: &KustomizePatch) -> Result<Value> {
    let mut out = serde_json::to_value(patch).unwrap_or_default();
    let Some(file) = patch.path.as_deref().filter(|file| !file.is_empty()) else {
        return Ok(out);
    };
    let bad = |problem: &str| SourceError::Path {
        path: file.to_owned(),
        problem: problem.to_owned(),
    };
    let place = folder
        .join(file)
        .canonicalize()
        .map_err(|_| bad("there is no such patch"))?;
    if !place.starts_with(root) {
        return Err(bad("it must not lead out of the repository"));
    }
    let text = std::fs::read_to_string(&place).map_err(SourceError::io(file.to_owned()))?;
    if let Some(map) = out.as_object_mut() {
        map.remove("path");
        map.insert("patch".to_owned(), text.into());
    }
    Ok(out)
}

/// Whether the kustomization of a folder, or one of the repository that it is built from, brings a schema of
/// its own. What can't be read is for Kustomize to complain of.
fn has_schema(root: &Path, folder: &Path) -> bool {
    let mut ahead = vec![folder.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(folder) = ahead.pop() {
        let Ok(folder) = folder.canonicalize() else {
            continue;
        };
        // Links out of the repository are refused before this.
        if !folder.starts_with(root) || !seen.insert(folder.clone()) {
            continue;
        }
        let mut texts = FILES
            .iter()
            .filter_map(|name| std::fs::read_to_string(folder.join(name)).ok());
        let Some(text) = texts.next() else { continue };
        let content = yaml::from_str_single(&text).unwrap_or_default();
        if content.get("openapi").is_some() {
            return true;
        }
        let below = ["resources", "bases", "components"].into_iter();
        let below = below.filter_map(|field| content.get(field)?.as_array());
        let names = below.flatten().filter_map(Value::as_str);
        ahead.extend(names.map(|name| folder.join(name)));
    }
    false
}

fn write_overlay(overlay: &PathBuf, content: &Value) -> Result<()> {
    let what = || "the overlay for kustomize can't be written".to_owned();
    let text = yaml::to_string(content).map_err(|error| SourceError::Io {
        what: what(),
        source: std::io::Error::other(error),
    })?;
    std::fs::create_dir(overlay).map_err(SourceError::io(what()))?;
    std::fs::write(overlay.join(FILES[0]), text).map_err(SourceError::io(what()))?;
    let schema = gitops::kustomize::schema().to_string();
    std::fs::write(overlay.join(SCHEMA_FILE), schema).map_err(SourceError::io(what()))?;
    let kinds = gitops::kustomize::transformers().to_string();
    std::fs::write(overlay.join(KINDS_FILE), kinds).map_err(SourceError::io(what()))
}

#[cfg(test)]
mod tests {
    use super::image_of;
    use serde_json::json;

    #[test]
    fn images_are_read_as_they_are_written() {
        assert_eq!(
            image_of("backend:v1"),
            json!({"name": "backend", "newTag": "v1"})
        );
        assert_eq!(
            image_of("backend=registry.example:5000/x/backend:v1"),
            json!({"name": "backend", "newName": "registry.example:5000/x/backend", "newTag": "v1"})
        );
        assert_eq!(
            image_of("registry.example:5000/backend@sha256:0a"),
            json!({"name": "registry.example:5000/backend", "digest": "sha256:0a"})
        );
        assert_eq!(image_of("a=b"), json!({"name": "a", "newName": "b"}));
    }
}
