//! One container that runs: listeners, connections, its end.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use cluster::runtime::What;
use cluster::workload::Workload;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::TaskTracker;

use super::Facts;
use super::command::Program;
use super::workload::{Demo, Identity};

/// Connections per container; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 1_024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// What is run.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) uid: String,
    pub(super) container: String,
    pub(super) attempt: i32,
    pub(super) workload: Workload,
    /// What to run instead of the workload's own end.
    pub(super) command: Option<Program>,
    pub(super) identity: Identity,
    /// Counts every task until its sockets are closed.
    pub(super) tracker: TaskTracker,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// The stop signal came: still listening, answers say `connection: close`.
    Draining,
    /// Idle connections close, those with a request in flight finish it.
    Closing,
}

/// A running container. Dropping it ends it without a word.
#[derive(Debug)]
pub(super) struct Process {
    phase: watch::Sender<Phase>,
    killed: watch::Sender<bool>,
    task: AbortHandle,
}

impl Process {
    pub(super) fn start(
        spec: Spec,
        listeners: Vec<StdListener>,
        facts: Facts,
        handle: &Handle,
    ) -> Self {
        let (phase, phase_seen) = watch::channel(Phase::Serving);
        let (killed, killed_seen) = watch::channel(false);
        let tracker = spec.tracker.clone();
        let signals = Signals {
            phase: phase.clone(),
            phase_seen,
            killed: killed_seen,
        };
        let supervisor = tracker.track_future(supervise(spec, listeners, facts, signals));
        let task = handle.spawn(supervisor).abort_handle();
        Self {
            phase,
            killed,
            task,
        }
    }

    /// The stop signal.
    pub(super) fn stop(&self) {
        self.phase.send_if_modified(|phase| {
            let first = *phase == Phase::Serving;
            if first {
                *phase = Phase::Draining;
            }
            first
        });
    }

    /// The end, now.
    pub(super) fn kill(&self) {
        self.killed.send_replace(true);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The supervisor's ends of a process's channels.
#[derive(Debug)]
struct Signals {
    phase: watch::Sender<Phase>,
    phase_seen: watch::Receiver<Phase>,
    killed: watch::Receiver<bool>,
}

/// Runs the workload to whichever end comes first, and reports it.
async fn supervise(spec: Spec, listeners: Vec<StdListener>, facts: Facts, signals: Signals) {
    let Signals {
        phase,
        mut phase_seen,
        mut killed,
    } = signals;
    let demo = Arc::new(Demo::new(
        spec.workload.clone(),
        spec.identity,
        phase_seen.clone(),
    ));
    let limit = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut acceptors = JoinSet::new();
    for listener in listeners {
        if let Ok(listener) = TcpListener::from_std(listener) {
            let shared = Shared {
                demo: Arc::clone(&demo),
                limit: Arc::clone(&limit),
                tracker: spec.tracker.clone(),
            };
            let acceptor = accept(listener, shared, phase_seen.clone());
            acceptors.spawn(spec.tracker.track_future(acceptor));
        }
    }
    let exit = async {
        if let Some(command) = &spec.command {
            return command.run().await;
        }
        match spec.workload.exit {
            Some(exit) => {
                tokio::time::sleep(Duration::from_secs(exit.after_s)).await;
                exit.code
            }
            None => std::future::pending().await,
        }
    };
    let drained = async {
        // An error means that the process was dropped; then this task is aborted as well.
        drop(phase_seen.wait_for(|phase| *phase >= Phase::Draining).await);
        tokio::time::sleep(Duration::from_millis(spec.workload.drain_ms)).await;
        phase.send_replace(Phase::Closing);
        while acceptors.join_next().await.is_some() {}
    };
    let killed = async { drop(killed.wait_for(|killed| *killed).await) };
    let code = tokio::select! {
        () = drained => 0,
        code = exit => code,
        () = killed => 137,
    };
    // All sockets are closed before anyone hears of the end.
    acceptors.shutdown().await;
    let what = What::Exited {
        container: spec.container,
        attempt: spec.attempt,
        code,
    };
    facts.push(&spec.uid, what);
}

/// What the connections of a process share.
#[derive(Debug)]
struct Shared {
    demo: Arc<Demo>,
    limit: Arc<Semaphore>,
    tracker: TaskTracker,
}

/// Accepts until closing, then waits for the connections.
async fn accept(listener: TcpListener, shared: Shared, mut phase: watch::Receiver<Phase>) {
    let seen = phase.clone();
    let mut connections = JoinSet::new();
    loop {
        let permit = Arc::clone(&shared.limit).acquire_owned();
        let accepted = async {
            let permit = permit.await.ok()?;
            listener
                .accept()
                .await
                .ok()
                .map(|(stream, _)| (stream, permit))
        };
        let closing = async { drop(phase.wait_for(|phase| *phase == Phase::Closing).await) };
        tokio::select! {
            accepted = accepted => {
                if let Some((stream, permit)) = accepted {
                    let (demo, phase) = (Arc::clone(&shared.demo), seen.clone());
                    connections.spawn(shared.tracker.track_future(async move {
                        serve(stream, demo, phase).await;
                        drop(permit);
                    }));
                } else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            () = closing => break,
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, demo: Arc<Demo>, mut phase: watch::Receiver<Phase>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let demo = Arc::clone(&demo);
        async move { Ok::<_, std::convert::Infallible>(demo.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let closing = async { drop(phase.wait_for(|phase| *phase == Phase::Closing).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "pod connection ended");
    }
}
