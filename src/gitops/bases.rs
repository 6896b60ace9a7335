//! What a kustomization is built from: other kustomizations of the repository, and of others.

use super::error::{Result, SourceError};
use super::kustomize::FILES;
use super::process::without_credentials;
use super::tree::{leads_out, read_text, relative};
use gocompat::yaml;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Bytes of one kustomization.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The fields that name files, folders and other repositories without Kustomize minding where they
/// are. Everything else it reads in its own folder alone.
const FIELDS: [&str; 6] = [
    "resources",
    "bases",
    "components",
    "generators",
    "transformers",
    "validators",
];

/// What there is to know of a kustomization before it is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bases {
    /// One of them brings a schema of its own.
    pub(super) has_schema: bool,
    /// There are some that are not in the repository.
    pub(super) is_remote: bool,
}

impl Bases {
    /// Looks at the kustomization of a folder, and all that it is built from, `components` of the
    /// Application among them. What leads out of the repository is refused: it would be a folder of
    /// this machine. What can't be read is for Kustomize to complain of.
    pub(super) fn of(root: &Path, folder: &Path, components: &[String]) -> Result<Self> {
        let mut out = Self::default();
        let mut ahead = vec![folder.to_owned()];
        for name in components {
            ahead.extend(out.follow(root, folder, name)?);
        }
        let mut seen = BTreeSet::new();
        while let Some(folder) = ahead.pop() {
            let Ok(folder) = folder.canonicalize() else {
                continue;
            };
            if !seen.insert(folder.clone()) {
                continue;
            }
            let content = kustomization_of(root, &folder)?;
            out.has_schema |= content.get("openapi").is_some();
            let fields = FIELDS
                .iter()
                .filter_map(|field| content.get(field)?.as_array());
            for name in fields.flatten().filter_map(Value::as_str) {
                ahead.extend(out.follow(root, &folder, name)?);
            }
        }
        Ok(out)
    }

    /// The folder that a name in a kustomization stands for, if it is one of the repository.
    fn follow(&mut self, root: &Path, folder: &Path, name: &str) -> Result<Option<PathBuf>> {
        // Where there could be a name there may also be a whole document.
        if name.contains('\n') {
            return Ok(None);
        }
        let place = folder.join(name);
        if leads_out(root, &place) {
            return Err(SourceError::Path {
                path: without_credentials(name),
                problem: "it must not lead out of the repository".to_owned(),
            });
        }
        let Ok(about) = std::fs::metadata(&place) else {
            self.is_remote = true;
            return Ok(None);
        };
        Ok(about.is_dir().then_some(place))
    }
}

/// `null` if there is none, or none that makes sense.
fn kustomization_of(root: &Path, folder: &Path) -> Result<Value> {
    for name in FILES {
        let file = folder.join(name);
        if let Some(text) = read_text(&file, &relative(root, &file), BYTES_MAX)? {
            return Ok(yaml::from_str_single(&text).unwrap_or_default());
        }
    }
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)], components: &[&str]) -> Result<Bases, String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("tree");
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let components: Vec<String> = components.iter().map(|name| (*name).to_owned()).collect();
        let bases = Bases::of(&root, &root.join("app"), &components);
        bases.map_err(|error| error.to_string())
    }

    #[test]
    fn bases_are_followed_inside_the_repository() {
        let app = ("app/kustomization.yaml", "resources: [a.yaml, ../base]\n");
        let map = ("app/a.yaml", "kind: ConfigMap\n");
        let base = "components: [../app, ../part]\n";
        let base = ("base/Kustomization", base);
        let none = Bases::default();
        assert_eq!(of(&[app, map, base, ("part/x", "")], &[]).unwrap(), none);
        let part = ("part/kustomization.yml", "openapi: {path: x}\n");
        let known = of(&[app, map, base, part], &[]).unwrap();
        assert!(known.has_schema && !known.is_remote);
        let part = (
            "part/kustomization.yml",
            "bases: ['https://git.example/a//b?ref=v1']\n",
        );
        let known = of(&[app, map, base, part], &[]).unwrap();
        assert!(known.is_remote && !known.has_schema);
    }

    #[test]
    fn what_leads_out_is_refused() {
        let refused = |name: &str| {
            Err(format!(
                "path '{name}': it must not lead out of the repository"
            ))
        };
        for field in FIELDS {
            for name in ["../..", "../../other", "../../../etc/hostname", "/etc"] {
                let text = format!("{field}: ['{name}']\n");
                let files = [("app/kustomization.yaml", text.as_str())];
                assert_eq!(of(&files, &[]), refused(name), "{field}");
            }
        }
        let files = [("app/kustomization.yaml", "resources: []\n")];
        assert_eq!(of(&files, &["../../x"]), refused("../../x"));
        // A patch in place of its name.
        let text = "transformers: [\"kind: X\\nname: ../../../x\\n\"]\n";
        assert!(of(&[("app/kustomization.yaml", text)], &[]).is_ok());
    }
}
