//! The manifests of the demo.

use super::repository::Layout;

/// The namespace that the demo's Application deploys to.
pub(super) const NAMESPACE: &str = "shop-production";
/// The namespace of Applications and projects.
pub(super) const CONTROL_NAMESPACE: &str = "argocd";
/// The tags of the story: the words after the version say how the demo workload behaves.
pub(super) const FIRST: &str = "v1-blue";
pub(super) const GOOD: &str = "v2-green";
/// Its share of 5xx rises by two percentage points a second.
pub(super) const BAD: &str = "v3-red-rising-2";

const ROLLOUT: &str = include_str!("manifests/rollout.yaml");
const SERVICES: &str = include_str!("manifests/services.yaml");
const ROUTE: &str = include_str!("manifests/route.yaml");
const ANALYSIS: &str = include_str!("manifests/analysis.yaml");
const PROJECT: &str = include_str!("manifests/project.yaml");
const APPLICATION: &str = include_str!("manifests/application.yaml");
const BASE: &str = include_str!("manifests/base-kustomization.yaml");
const OVERLAY: &str = include_str!("manifests/overlay-kustomization.yaml");

/// The image as the base names it; the overlay, or the plain manifest, gives the tag.
const UNTAGGED: &str = "image: weir/demo\n";

/// The files of the repository, with `tag` deployed.
pub(super) fn repository(layout: Layout, tag: &str) -> Vec<(&'static str, String)> {
    let (path, release) = release(layout, tag);
    let others = match layout {
        Layout::Kustomize => vec![
            ("base/kustomization.yaml", BASE.to_owned()),
            ("base/rollout.yaml", ROLLOUT.to_owned()),
            ("base/services.yaml", SERVICES.to_owned()),
            ("base/route.yaml", ROUTE.to_owned()),
            ("base/analysis.yaml", ANALYSIS.to_owned()),
        ],
        Layout::Plain => vec![
            ("apps/shop/services.yaml", SERVICES.to_owned()),
            ("apps/shop/route.yaml", ROUTE.to_owned()),
            ("apps/shop/analysis.yaml", ANALYSIS.to_owned()),
        ],
    };
    let mut files = others;
    files.push((path, release));
    files
}

/// The one file that a release changes, and its text.
pub(super) fn release(layout: Layout, tag: &str) -> (&'static str, String) {
    match layout {
        Layout::Kustomize => (
            "overlays/production/kustomization.yaml",
            OVERLAY.replace("$TAG", tag),
        ),
        Layout::Plain => {
            let tagged = format!("image: weir/demo:{tag}\n");
            ("apps/shop/rollout.yaml", ROLLOUT.replace(UNTAGGED, &tagged))
        }
    }
}

/// What is applied to the cluster by hand, once: the project and the Application.
pub(super) fn bootstrap(layout: Layout, url: &str) -> [String; 2] {
    [
        PROJECT.replace("$URL", url),
        APPLICATION
            .replace("$URL", url)
            .replace("$PATH", layout.path()),
    ]
}
