use super::*;
use crate::lease::{Role, Timing, elect, rivals};
use apiserver::ApiServer;
use http::{Response, StatusCode};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
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
    assert_eq!(notes(&client).await, [HOLDER, RIVALS]);
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
        None,
        (
            Clock::starting_at(Timestamp::UNIX_EPOCH),
            leadership.clone(),
        ),
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
    unelected.stop().await;
    assert_eq!(holder(&client).await, "candidate");
    elected.abort();
}

#[tokio::test(start_paused = true)]
async fn who_is_elected_hears_of_one_that_is_not_and_leads_on() {
    let client = cluster().await;
    let (candidate, elected) = candidate(&client);
    sleep(Duration::from_secs(5)).await;
    assert!(candidate.holds() && !candidate.is_contended());
    let lead = candidate.acquired().await;
    let unelected = Unelected::start(&client, "unelected", None);
    sleep(Duration::from_secs(20)).await;
    for _ in 0..60 {
        sleep(Duration::from_secs(1)).await;
        assert!(candidate.is_contended() && unelected.leadership.is_contended());
        // The notes are written in between its renewals.
        assert!(lead.holds());
    }
    assert_eq!(notes(&client).await, [HOLDER, RIVALS]);
    unelected.task.abort();
    sleep(Duration::from_secs(30)).await;
    assert!(!candidate.is_contended() && lead.holds());
    assert_eq!(notes(&client).await, [HOLDER]);
    elected.abort();
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_the_peer_is_left_alone() {
    let client = cluster().await;
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let lease = json!({
        "metadata": {"name": "lock"},
        "spec": {"holderIdentity": "argo-rollouts-0_6f0f", "leaseDurationSeconds": 15},
    });
    let lease = serde_json::from_value(lease).unwrap();
    leases.create(&PostParams::default(), &lease).await.unwrap();
    let unelected = Unelected::start(&client, "unelected", None);
    let params = PatchParams::default();
    for renewed in 1..30 {
        sleep(Duration::from_secs(2)).await;
        let time = format!("2026-01-01T00:00:{renewed:02}.000000Z");
        let renewal = Patch::Merge(json!({"spec": {"renewTime": time}}));
        let renewed = leases.patch("lock", &params, &renewal).await.unwrap();
        assert_eq!(renewed.metadata.annotations, None);
    }
    assert!(unelected.leadership.is_contended());
    unelected.stop().await;
    assert!(notes(&client).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_third_one_is_known_beside_the_second() {
    let client = cluster().await;
    let first = Unelected::start(&client, "first", None);
    sleep(Duration::from_secs(10)).await;
    let second = Unelected::start(&client, "second", None);
    let third = Unelected::start(&client, "third", None);
    sleep(Duration::from_secs(30)).await;
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let noted = async || {
        let mut noted = rivals(&leases.get("lock").await.unwrap());
        noted.sort_by(|a, b| a.identity.cmp(&b.identity));
        let names = noted.into_iter().map(|note| note.identity);
        names.collect::<Vec<_>>()
    };
    assert_eq!(noted().await, ["second", "third"]);
    third.task.abort();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(noted().await, ["second"]);
    assert!(first.leadership.is_contended());
    second.stop().await;
    sleep(Duration::from_secs(30)).await;
    assert!(noted().await.is_empty());
    assert!(!first.leadership.is_contended());
    first.stop().await;
}

/// A cluster at this version in which only the Rollouts of the namespace `team` can be listed.
fn without_rights(version: Arc<AtomicU64>) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let is_list = request.uri().path() == "/apis/argoproj.io/v1alpha1/namespaces/team/rollouts";
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
