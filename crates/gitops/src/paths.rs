//! Which files an Application is made of, as it says itself:
//! `argocd.argoproj.io/manifest-generate-paths` (gitops.md item 29). A commit that touches none of
//! them needs not to be rendered.

use crate::glob;
use api::constants::gitops::MANIFEST_GENERATE_PATHS_ANNOTATION;
use api::{Application, ApplicationSource};
use serde::Serialize;

/// An Application that names more is taken to name none: each is looked for among all files that a
/// commit changes.
const PATHS_MAX: usize = 256;

/// The paths that an Application names: from the root of the repository, without a slash at either
/// end. The root itself is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GeneratePaths(Vec<String>);

impl GeneratePaths {
    /// The paths for one source of an Application: those with a slash in front begin at the root of
    /// the repository, the others at the path of the source. `None` if it names none, or too
    /// many, and then every commit may change it.
    pub fn of(app: &Application, source: &ApplicationSource) -> Option<Self> {
        let annotations = app.metadata.annotations.as_ref()?;
        let listed = annotations.get(MANIFEST_GENERATE_PATHS_ANNOTATION)?;
        let home = source.path.as_deref().unwrap_or_default();
        let paths: Vec<String> = listed
            .split(';')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| match item.strip_prefix('/') {
                Some(absolute) => clean(absolute),
                None => clean(&format!("{home}/{item}")),
            })
            .collect();
        (1..=PATHS_MAX)
            .contains(&paths.len())
            .then_some(Self(paths))
    }

    /// Whether a commit that changes these files may change the Application. `files` are relative
    /// to the root of the repository; none at all is not the same as none that matters: whoever
    /// knows of no files does not know what has changed.
    pub fn are_touched<'f>(&self, files: impl IntoIterator<Item = &'f str>) -> bool {
        let files: Vec<String> = files.into_iter().map(clean).collect();
        files.is_empty() || self.0.iter().any(|path| holds_any(path, &files))
    }
}

/// Whether a path is one of the files, a folder that one is in at any depth, or a glob that one
/// matches. A star does not cross a slash. A glob that is not read may mean any file.
fn holds_any(path: &str, files: &[String]) -> bool {
    let is_inside = |file: &String| {
        let rest = file.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path.is_empty()
        || glob::is_too_large(path)
        || files.iter().any(is_inside)
        || glob::matches_any(path, files.iter().map(String::as_str), true)
}

/// Without empty parts, `.` and `..`. What leads out of the repository ends at its root.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn paths(annotation: &Value, home: &str) -> Option<GeneratePaths> {
        let app = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "annotations": annotation},
            "spec": {"project": "default", "destination": {},
                "source": {"repoURL": "https://example.com/x", "path": home}},
        });
        let app: Application = serde_json::from_value(app).unwrap();
        let source = app.spec.source.clone().unwrap();
        GeneratePaths::of(&app, &source)
    }

    fn of(listed: &str) -> GeneratePaths {
        let annotation = json!({"argocd.argoproj.io/manifest-generate-paths": listed});
        paths(&annotation, "apps/shop").expect("it names some")
    }

    #[test]
    fn paths_begin_at_the_source_or_at_the_root() {
        let listed = [
            (".", "apps/shop"),
            ("./", "apps/shop"),
            ("base", "apps/shop/base"),
            ("../shared", "apps/shared"),
            ("/shared/", "shared"),
            ("/", ""),
            ("../../../..", ""),
        ];
        for (item, path) in listed {
            assert_eq!(of(item), GeneratePaths(vec![path.to_owned()]), "{item}");
        }
        let both = GeneratePaths(vec!["apps/shop".to_owned(), "shared".to_owned()]);
        assert_eq!(of(".; /shared ;;"), both);
        let home = paths(
            &json!({"argocd.argoproj.io/manifest-generate-paths": "."}),
            "",
        );
        assert!(home.unwrap().are_touched(["anything"]));
    }

    #[test]
    fn who_names_none_is_touched_by_everything() {
        assert_eq!(paths(&json!({}), "apps/shop"), None);
        for nothing in ["", ";", " ; "] {
            let annotation = json!({"argocd.argoproj.io/manifest-generate-paths": nothing});
            assert_eq!(paths(&annotation, "apps/shop"), None, "{nothing:?}");
        }
    }

    #[test]
    fn who_names_too_many_is_touched_by_everything() {
        let listed = |count: usize| {
            let listed = vec!["base"; count].join(";");
            let annotation = json!({"argocd.argoproj.io/manifest-generate-paths": listed});
            paths(&annotation, "apps/shop")
        };
        assert!(!listed(PATHS_MAX).unwrap().are_touched(["other/a.yaml"]));
        assert_eq!(listed(PATHS_MAX + 1), None);
    }

    #[test]
    fn a_pattern_that_is_not_read_is_touched_by_everything() {
        assert!(of(&"?".repeat(5_000)).are_touched(["other/a.yaml"]));
        assert!(!of(&"?".repeat(50)).are_touched(["other/a.yaml"]));
    }

    #[test]
    fn only_what_is_below_a_path_touches_it() {
        let here = of(".;/shared/values.yaml");
        for file in [
            "apps/shop/a.yaml",
            "apps/shop/deep/er/b.yaml",
            "/apps/shop/a.yaml",
            "shared/values.yaml",
        ] {
            assert!(here.are_touched([file]), "{file}");
        }
        for file in [
            "apps/shopping/a.yaml",
            "apps/a.yaml",
            "shared/values.yaml.bak",
            "shared/other.yaml",
            "apps/shop/../other/a.yaml",
        ] {
            assert!(!here.are_touched([file]), "{file}");
        }
        assert!(here.are_touched(["README.md", "apps/shop/a.yaml"]));
    }

    #[test]
    fn globs_stay_within_a_folder() {
        let globs = of("/charts/*/values-{eu,us}.yaml;*.json");
        for file in ["charts/shop/values-eu.yaml", "apps/shop/a.json"] {
            assert!(globs.are_touched([file]), "{file}");
        }
        for file in [
            "charts/shop/values-asia.yaml",
            "charts/shop/deep/values-eu.yaml",
            "apps/shop/deep/a.json",
        ] {
            assert!(!globs.are_touched([file]), "{file}");
        }
    }

    #[test]
    fn without_a_list_of_files_nothing_is_known() {
        assert!(of(".").are_touched(Vec::<&str>::new()));
    }
}
