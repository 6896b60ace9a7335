//! What an Application adds to a kustomization: a kustomization over it, beside the tree, which has
//! it as its only resource. In the tree itself nobody writes; nor may it be in one that is a base
//! of it.

use super::checkouts::TREE;
use super::error::{Result, SourceError};
use super::kustomize::FILES;
use super::tree::{leads_out, read_text, relative};
use api::{ApplicationSourceKustomize, IntOrString, KustomizePatch};
use gocompat::yaml;
use serde_json::{Map, Value, json};
use std::path::Path;
use tempfile::TempDir;

const SCHEMA_FILE: &str = "schema.json";
const KINDS_FILE: &str = "kinds.json";

/// Bytes of a patch that is in a file.
const PATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The kustomization over the one in `folder`; `None` if it would add nothing. `has_schema`: the
/// repository brings a schema of its own.
pub(super) fn overlay_of(
    root: &Path,
    folder: &Path,
    options: &ApplicationSourceKustomize,
    has_schema: bool,
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
    let below = match path.as_str() {
        "" => format!("../{TREE}"),
        path => format!("../{TREE}/{path}"),
    };
    if !options.components.is_empty() {
        let components = options.components.iter();
        let components = components.map(|name| format!("{below}/{name}"));
        out.insert(
            "components".to_owned(),
            components.collect::<Vec<_>>().into(),
        );
    }
    if out.is_empty() && has_schema {
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
    out.insert("resources".to_owned(), json!([below]));
    if !has_schema {
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

/// The options without the components that are not in the repository, if these may be missing. One
/// that leads out of it is refused otherwise, and not looked for.
pub(super) fn without_missing(
    root: &Path,
    folder: &Path,
    options: &ApplicationSourceKustomize,
) -> ApplicationSourceKustomize {
    let mut out = options.clone();
    if out.ignore_missing_components.unwrap_or(false) {
        out.components.retain(|name| {
            let place = folder.join(name);
            leads_out(root, &place) || place.exists()
        });
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
    let place = folder.join(file);
    if leads_out(root, &place) {
        return Err(bad("it must not lead out of the repository"));
    }
    let text = read_text(&place, file, PATCH_BYTES_MAX)?;
    let text = text.ok_or_else(|| bad("there is no such patch"))?;
    if let Some(map) = out.as_object_mut() {
        map.remove("path");
        map.insert("patch".to_owned(), text.into());
    }
    Ok(out)
}

/// Writes an overlay into a folder of its own in the folder `beside` the tree.
pub(super) fn write(beside: &Path, content: &Value) -> Result<TempDir> {
    let failed = || SourceError::io("the overlay for kustomize can't be written");
    let text = yaml::to_string(content).map_err(std::io::Error::other);
    let text = text.map_err(failed())?;
    let overlay = tempfile::Builder::new()
        .prefix("overlay-")
        .tempdir_in(beside)
        .map_err(failed())?;
    let put = |name: &str, text: String| std::fs::write(overlay.path().join(name), text);
    put(FILES[0], text).map_err(failed())?;
    put(SCHEMA_FILE, gitops::kustomize::schema().to_string()).map_err(failed())?;
    put(KINDS_FILE, gitops::kustomize::transformers().to_string()).map_err(failed())?;
    Ok(overlay)
}

#[cfg(test)]
mod tests {
    use super::{image_of, without_missing};
    use api::ApplicationSourceKustomize;
    use serde_json::json;

    #[test]
    fn components_may_be_missing_where_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let app = root.join("app");
        std::fs::create_dir_all(app.join("there")).unwrap();
        let left = |may_be_missing: Option<bool>| {
            let components = ["there", "../app/there", "gone", "../gone", "../../out"];
            let options = ApplicationSourceKustomize {
                components: components.map(str::to_owned).to_vec(),
                ignore_missing_components: may_be_missing,
                ..ApplicationSourceKustomize::default()
            };
            without_missing(&root, &app, &options).components
        };
        assert_eq!(left(Some(true)), ["there", "../app/there", "../../out"]);
        assert_eq!(left(Some(false)).len(), 5);
        assert_eq!(left(None).len(), 5);
    }

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
