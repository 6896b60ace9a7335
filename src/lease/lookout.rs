//! Looks for other controllers on behalf of one that acts without being elected
//! (`--leader-elect=false`).
//!
//! It holds the Lease while nobody else does, as a sign: a candidate stands by, and another
//! controller that is not elected reports that there are two, and leaves a note in the Lease from
//! which this one learns the same (`presence.rs`). Who holds the Lease does not decide whether this
//! controller acts; that is what the flag is for. One that watches a single namespace leaves the
//! Lease of another namespace alone: that of a controller with more to do, which must not stand by
//! for it.

use super::decide::Decision;
use super::election::{Election, JITTER};
use super::leadership::Leadership;
use super::lock::{Failed, Lock};
use super::newest::Newest;
use super::presence::{HOLDER, Presence, RIVAL, Rival};
use crate::clock::Clock;
use api::Rollout;
use kube::api::ListParams;
use kube::core::{ListMeta, Request};
use kube::{Client, Resource};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

const REMEDY: &str = "end one of the two, or leave --leader-elect=false out of both: then one acts and the other \
     stands by. For objects of its own, give one another --instance-id";

/// Looks until `resign`, and then gives the Lease back if it is ours. `watched` is the only
/// namespace that the controller watches, if it does not watch all.
pub async fn look_out(
    client: Client,
    election: Election,
    watched: Option<String>,
    (clock, leadership): (Clock, Leadership),
    resign: CancellationToken,
) {
    let mut lookout = Lookout {
        versions: Request::new(Rollout::url_path(&(), watched.as_deref())),
        takes: watched
            .as_ref()
            .is_none_or(|namespace| *namespace == election.namespace),
        watched,
        client: client.clone(),
        lock: Lock::new(client, election, clock),
        clock,
        leadership,
        newest: Newest::default(),
        rival: Rival::default(),
        trouble: String::new(),
        other: String::new(),
    };
    loop {
        let pause = lookout.round().await;
        tokio::select! {
            () = resign.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    if lookout.is_ours() {
        lookout.lock.release().await;
    }
}

struct Lookout {
    client: Client,
    /// The list that is read for its resource version.
    versions: Request,
    /// The only namespace that the controller watches, if it does not watch all.
    watched: Option<String>,
    /// Whether it takes the Lease if nobody else holds it.
    takes: bool,
    lock: Lock,
    clock: Clock,
    leadership: Leadership,
    newest: Newest,
    /// What another controller says of itself in a Lease that is ours.
    rival: Rival,
    /// The last failure and the last other controller that were logged, so that each is logged
    /// once.
    trouble: String,
    other: String,
}

/// A list, without its items.
#[derive(Debug, Deserialize)]
struct Listed {
    metadata: ListMeta,
}

impl Lookout {
    /// One look at the cluster, and the pause before the next. Both take half the time within which
    /// a leader must renew the Lease, or little more: others take one that is not renewed.
    async fn round(&mut self) -> Duration {
        let limit = self.lock.timing().renew / 2;
        let answer = timeout(limit, self.look()).await;
        match self.lock.judge(answer, limit) {
            Ok(()) => self.trouble.clear(),
            // The next look reads the Lease anyway.
            Err(None) => {}
            Err(Some(trouble)) => self.tell(trouble),
        }
        let looked = Instant::now();
        let version = timeout(limit, self.version()).await.ok().flatten();
        if version.is_some_and(|version| self.newest.goes_back(version)) {
            self.leadership.note_put_back();
        }
        let pause = limit.mul_f64(1.0 + JITTER * rand::random::<f64>());
        pause.saturating_sub(looked.elapsed())
    }

    async fn look(&mut self) -> Result<(), Failed> {
        let before = self.lock.seen().map(|seen| seen.since);
        // Even if it is ours: another one may have left a note in it.
        self.lock.read().await?;
        match self.lock.decide() {
            Decision::Follow { .. } => self.follow(before).await,
            Decision::Renew => self.renew().await,
            Decision::Take { transitions } => self.take(transitions).await,
        }
    }

    /// The Lease is another controller's. `before` is since when it was as the last look saw it.
    async fn follow(&mut self, before: Option<Instant>) -> Result<(), Failed> {
        let holder = self.lock.holder().to_owned();
        let presence = self.presence(HOLDER);
        let presence = presence.filter(|presence| presence.identity == holder);
        let watched = self.watched.as_deref();
        if presence.as_ref().is_some_and(|holds| !holds.meets(watched)) {
            self.alone();
            return Ok(());
        }
        // The Lease of a controller that has ended is not renewed any more.
        let since = self.lock.seen().map(|seen| seen.since);
        if before.is_some() && before != since {
            self.contend(holder);
        }
        let is_read = presence.is_some() && self.leadership.is_contended();
        // There is room for one note; whoever comes third is told of, once that one is gone.
        let noted = self.presence(RIVAL);
        if is_read && noted.is_none_or(|noted| self.is_us(&noted)) {
            let note = (RIVAL, self.own_presence());
            self.lock.annotate(&[note]).await?;
        }
        Ok(())
    }

    /// The Lease is ours.
    async fn renew(&mut self) -> Result<(), Failed> {
        let (now, patience) = (Instant::now(), self.lock.timing().lease);
        let watched = self.watched.as_deref();
        let noted = self.presence(RIVAL);
        let noted = noted.filter(|noted| !self.is_us(noted) && noted.meets(watched));
        self.rival.note(noted, now);
        let mut annotations = vec![(HOLDER, self.own_presence())];
        if self.rival.has_ended(patience, now) {
            annotations.push((RIVAL, None));
        }
        self.lock.renew(&annotations).await?;
        match self.rival.acting(patience, now).map(str::to_owned) {
            Some(other) => self.contend(other),
            None => self.alone(),
        }
        Ok(())
    }

    /// The Lease is nobody's.
    async fn take(&mut self, transitions: i32) -> Result<(), Failed> {
        if self.takes {
            let mut annotations = vec![(HOLDER, self.own_presence())];
            if self.presence(RIVAL).is_some_and(|noted| self.is_us(&noted)) {
                annotations.push((RIVAL, None));
            }
            self.lock.take(transitions, &annotations).await?;
        }
        self.alone();
        Ok(())
    }

    fn is_ours(&self) -> bool {
        self.lock.holder() == self.lock.election().identity
    }

    /// What an annotation of the Lease says.
    fn presence(&self, key: &str) -> Option<Presence> {
        self.lock.annotation(key).and_then(Presence::parse)
    }

    fn own_presence(&self) -> Option<String> {
        let presence = Presence {
            identity: self.lock.election().identity.clone(),
            namespace: self.watched.clone(),
            time: self.clock.now().to_string(),
        };
        presence.annotation()
    }

    fn is_us(&self, presence: &Presence) -> bool {
        presence.identity == self.lock.election().identity
    }

    /// Another controller has shown since the last look that it acts.
    fn contend(&mut self, other: String) {
        if self.other != other {
            let Election {
                lease, namespace, ..
            } = self.lock.election();
            tracing::warn!(
                other,
                lease,
                namespace,
                remedy = REMEDY,
                "another controller acts on the same objects as this one, which has --leader-elect=false"
            );
            self.other = other;
        }
        self.leadership.set_contended(true);
    }

    fn alone(&mut self) {
        if !self.other.is_empty() {
            let other = &self.other;
            tracing::info!(other, "the other controller does not act any more");
            self.other.clear();
        }
        self.leadership.set_contended(false);
    }

    /// The resource version of the cluster; `None` without an answer, which the watches report.
    async fn version(&self) -> Option<u64> {
        // Without a resource version in the request, the answer is not from a cache that is behind.
        let request = self.versions.list(&ListParams::default().limit(1)).ok()?;
        let listed: Listed = self.client.request(request).await.ok()?;
        listed.metadata.resource_version?.parse().ok()
    }

    fn tell(&mut self, trouble: String) {
        if self.trouble != trouble {
            let Election {
                lease, namespace, ..
            } = self.lock.election();
            tracing::warn!(
                lease,
                namespace,
                error = trouble,
                "whether another controller acts as well is not known, because its lease can't be looked at \
                 or held"
            );
            self.trouble = trouble;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Role, Timing, elect};
    use apiserver::ApiServer;
    use http::{Response, StatusCode};
    use jiff::Timestamp;
    use k8s_openapi::api::coordination::v1::Lease;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::Api;
    use kube::api::PostParams;
    use kube::client::Body;
    use serde_json::json;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::task::JoinHandle;
    use tokio::time::sleep;

    const NAMESPACE: &str = "demo";

    fn election(identity: &str, role: Role) -> Election {
        Election {
            namespace: NAMESPACE.to_owned(),
            lease: "lock".to_owned(),
            identity: identity.to_owned(),
            timing: Timing::default(),
            role,
        }
    }

    async fn cluster() -> Client {
        let client = ApiServer::builder().build().client();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        let namespace = serde_json::from_value(namespace).unwrap();
        let created = namespaces.create(&PostParams::default(), &namespace).await;
        created.unwrap();
        client
    }

    async fn holder(client: &Client) -> String {
        let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
        let lease = leases.get("lock").await.unwrap();
        lease.spec.unwrap().holder_identity.unwrap()
    }

    /// Which notes are in the Lease.
    async fn notes(client: &Client) -> Vec<String> {
        let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
        let annotations = leases.get("lock").await.unwrap().metadata.annotations;
        annotations.unwrap_or_default().into_keys().collect()
    }

    /// A controller that looks out.
    struct Unelected {
        leadership: Leadership,
        resign: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Unelected {
        fn start(client: &Client, identity: &str, watched: Option<&str>) -> Self {
            let (leadership, resign) = (Leadership::always(), CancellationToken::new());
            let looks = look_out(
                client.clone(),
                election(identity, Role::Unelected),
                watched.map(str::to_owned),
                (
                    Clock::starting_at(Timestamp::UNIX_EPOCH),
                    leadership.clone(),
                ),
                resign.clone(),
            );
            Self {
                leadership,
                resign,
                task: tokio::spawn(looks),
            }
        }

        async fn stop(self) {
            self.resign.cancel();
            self.task.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_of_two_notices_the_other_until_it_ends_and_both_act_all_the_while() {
        let client = cluster().await;
        let first = Unelected::start(&client, "first", None);
        sleep(Duration::from_secs(30)).await;
        assert!(!first.leadership.is_contended());
        let second = Unelected::start(&client, "second", None);
        sleep(Duration::from_secs(20)).await;
        for _ in 0..60 {
            sleep(Duration::from_secs(1)).await;
            assert!(first.leadership.is_contended() && second.leadership.is_contended());
            assert!(first.leadership.holds() && second.leadership.holds());
        }
        assert_eq!(holder(&client).await, "first");
        first.stop().await;
        sleep(Duration::from_secs(8)).await;
        assert!(!second.leadership.is_contended());
        assert_eq!(holder(&client).await, "second");
        assert_eq!(notes(&client).await, [HOLDER]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_that_is_killed_nothing_is_left() {
        let client = cluster().await;
        let first = Unelected::start(&client, "first", None);
        sleep(Duration::from_secs(30)).await;
        let second = Unelected::start(&client, "second", Some(NAMESPACE));
        sleep(Duration::from_secs(20)).await;
        assert!(first.leadership.is_contended());
        assert_eq!(notes(&client).await, [HOLDER, RIVAL]);
        second.task.abort();
        sleep(Duration::from_secs(30)).await;
        assert!(!first.leadership.is_contended());
        assert_eq!(notes(&client).await, [HOLDER]);
        first.stop().await;
        assert!(notes(&client).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_holder_that_is_killed_is_followed_though_the_other_writes_into_its_lease() {
        let client = cluster().await;
        let first = Unelected::start(&client, "first", None);
        sleep(Duration::from_secs(30)).await;
        let second = Unelected::start(&client, "second", None);
        sleep(Duration::from_secs(20)).await;
        first.task.abort();
        sleep(Duration::from_secs(30)).await;
        assert!(!second.leadership.is_contended());
        assert_eq!(holder(&client).await, "second");
        second.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_watch_a_namespace_each_are_not_in_each_others_way() {
        let client = cluster().await;
        let first = Unelected::start(&client, "first", Some(NAMESPACE));
        let second = Unelected::start(&client, "second", Some("team"));
        for _ in 0..60 {
            sleep(Duration::from_secs(1)).await;
            assert!(!first.leadership.is_contended() && !second.leadership.is_contended());
        }
        first.stop().await;
        second.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_of_one_that_has_ended_is_no_second_controller() {
        let client = cluster().await;
        let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
        let left = json!({
            "metadata": {"name": "lock"},
            "spec": {"holderIdentity": "argo-rollouts-0_6f0f", "leaseDurationSeconds": 15},
        });
        let left = serde_json::from_value(left).unwrap();
        leases.create(&PostParams::default(), &left).await.unwrap();
        let only = Unelected::start(&client, "only", None);
        for _ in 0..25 {
            sleep(Duration::from_secs(1)).await;
            assert!(!only.leadership.is_contended());
        }
        assert_eq!(holder(&client).await, "only");
    }

    /// A controller that takes part in the election.
    fn candidate(client: &Client) -> (Leadership, JoinHandle<()>) {
        let leadership = Leadership::following();
        let elects = elect(
            client.clone(),
            election("candidate", Role::Candidate),
            Clock::starting_at(Timestamp::UNIX_EPOCH),
            leadership.clone(),
            CancellationToken::new(),
        );
        (leadership, tokio::spawn(elects))
    }

    #[tokio::test(start_paused = true)]
    async fn a_candidate_stands_by_while_one_acts_that_is_not_elected() {
        let client = cluster().await;
        let unelected = Unelected::start(&client, "unelected", None);
        sleep(Duration::from_secs(1)).await;
        let (candidate, elected) = candidate(&client);
        for _ in 0..60 {
            sleep(Duration::from_secs(1)).await;
            assert!(!candidate.holds());
        }
        unelected.stop().await;
        sleep(Duration::from_secs(3)).await;
        assert!(candidate.holds());
        elected.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_stands_by_for_one_that_watches_another_namespace_only() {
        let client = cluster().await;
        let unelected = Unelected::start(&client, "unelected", Some("team"));
        sleep(Duration::from_secs(1)).await;
        let (candidate, elected) = candidate(&client);
        sleep(Duration::from_secs(20)).await;
        assert!(candidate.holds() && unelected.leadership.is_contended());
        // It would not be read.
        assert!(notes(&client).await.is_empty());
        unelected.stop().await;
        assert_eq!(holder(&client).await, "candidate");
        elected.abort();
    }

    /// A cluster at this version in which only the Rollouts of the namespace `team` can be listed.
    fn without_rights(version: Arc<AtomicU64>) -> Client {
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let is_list =
                request.uri().path() == "/apis/argoproj.io/v1alpha1/namespaces/team/rollouts";
            let version = version.load(Ordering::SeqCst).to_string();
            let answer = if is_list {
                json!({"metadata": {"resourceVersion": version}, "items": [{"spec": "odd"}]})
            } else {
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
                    "message": "leases is forbidden", "reason": "Forbidden", "code": 403})
            };
            let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
            if !is_list {
                *response.status_mut() = StatusCode::FORBIDDEN;
            }
            std::future::ready(Ok::<_, kube::Error>(response))
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn that_the_cluster_was_put_back_is_noticed_without_a_right_to_the_lease() {
        let version = Arc::new(AtomicU64::new(500));
        let client = without_rights(version.clone());
        let only = Unelected::start(&client, "only", Some("team"));
        let minute = Duration::from_mins(1);
        for grown in [500, 501] {
            version.store(grown, Ordering::SeqCst);
            let put_back = timeout(minute, only.leadership.put_back(0)).await;
            assert!(put_back.is_err(), "{grown}");
        }
        version.store(200, Ordering::SeqCst);
        let put_back = timeout(minute, only.leadership.put_back(0)).await;
        assert_eq!(put_back, Ok(1));
        assert!(only.leadership.holds() && !only.leadership.is_contended());
    }
}
