//! What is looked at when somebody asks.

use super::families::Metrics;
use super::health::View;
use super::page::Page;
use super::{objects, process, queue};
use crate::cache::Caches;
use crate::lease::Leadership;
use crate::queue::Queue;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A controller that runs.
#[derive(Debug)]
pub struct Watched {
    pub caches: Arc<Caches>,
    pub queue: Arc<Queue>,
    pub leadership: Leadership,
    /// How long the election may do nothing.
    pub election_limit: Duration,
}

/// See [the module](super).
#[derive(Debug, Default)]
pub struct Monitor {
    pub metrics: Arc<Metrics>,
    watched: OnceLock<Watched>,
}

impl Monitor {
    /// From now on this is looked at; the first one stays.
    pub fn watch(&self, watched: Watched) {
        let _ = self.watched.set(watched);
    }

    /// What the process is doing.
    pub fn view(&self) -> View {
        let Some(watched) = self.watched.get() else {
            return View {
                unlisted: vec!["everything"],
                ..View::default()
            };
        };
        let progress = watched.queue.progress();
        let beat = watched.leadership.last_beat();
        View {
            leads: watched.leadership.holds(),
            election: beat.map(|beat| (beat.elapsed(), watched.election_limit)),
            waiting: progress
                .waiting
                .map(|(key, waits)| (key.to_string(), waits)),
            running: progress.running.map(|(key, took)| (key.to_string(), took)),
            idle: progress.idle,
            unlisted: watched.caches.unlisted(),
        }
    }

    /// `/metrics`.
    pub fn page(&self) -> String {
        if let Some(watched) = self.watched.get()
            && !watched.leadership.holds()
        {
            // Whoever stands by makes no passes, which would find that an object is gone.
            self.metrics.compare(|key| watched.caches.holds(key));
        }
        let mut page = Page::default();
        self.metrics.write(&mut page);
        build(&mut page);
        if let Some(watched) = self.watched.get() {
            page.gauge(
                "weir_leader",
                "Whether this process is the one that acts: 1 or 0.",
            )
            .sample(&[], u8::from(watched.leadership.holds()));
            page.gauge(
                "weir_lease_contended",
                "Whether another controller acts on the same objects as this one, and one of the two \
                 is not elected: 1 or 0.",
            )
            .sample(&[], u8::from(watched.leadership.is_contended()));
            watches(&mut page, &watched.caches);
            queue::write(&mut page, &watched.queue);
            objects::write(&mut page, &watched.caches);
        }
        process::write(&mut page);
        page.into_text()
    }
}

fn watches(page: &mut Page, caches: &Caches) {
    let mut family = page.gauge(
        "weir_watch_failing_seconds",
        "For how long every try to watch a kind has failed: 0 while it goes well.",
    );
    for (kind, failing_for) in caches.failing() {
        family.sample(&[("kind", kind.as_str())], failing_for.as_secs_f64());
    }
}

fn build(page: &mut Page) {
    let version = env!("CARGO_PKG_VERSION");
    page.gauge("argo_rollouts_controller_info", "The controller's version.")
        .sample(&[("version", version)], 1);
    let commit = option_env!("WEIR_COMMIT").unwrap_or_default();
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let labels = [
        ("version", version),
        ("goversion", ""),
        ("goarch", arch),
        ("commit", commit),
    ];
    page.gauge("build_info", "How this program was built.")
        .sample(&labels, 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::Kinds;
    use crate::cache::Dynamic;
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;

    async fn nothing(_: Request<Body>) -> Result<Response<Body>, kube::Error> {
        Ok(Response::new(Body::empty()))
    }

    #[tokio::test]
    async fn each_watch_is_told_of_once() {
        let client = Client::new(tower::service_fn(nothing), "default");
        let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None);
        let mut page = Page::default();
        watches(&mut page, &Caches::new(dynamic));
        let text = page.into_text();
        for kind in ["Rollout", "Pod", "Pod of a Job", "AppProject"] {
            let line = format!("weir_watch_failing_seconds{{kind=\"{kind}\"}} 0");
            let found = text.lines().filter(|found| *found == line);
            assert_eq!(found.count(), 1, "{line}\n{text}");
        }
    }
}
