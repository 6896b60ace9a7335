//! The tables of `list` (rollouts.md §8.1).

use crate::table::{at_least, columns};
use api::Experiment;
use engine::info::RolloutInfo;
use gocompat::duration;
use jiff::Timestamp;
use kube::ResourceExt;

/// Columns that are not always there.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListColumns {
    pub namespace: bool,
    pub timestamp: bool,
}

/// Names and least widths.
const COLUMNS: [(&str, usize); 9] = [
    ("NAME", 10),
    ("STRATEGY", 9),
    ("STATUS", 12),
    ("STEP", 4),
    ("SET-WEIGHT", 10),
    ("READY", 5),
    ("DESIRED", 7),
    ("UP-TO-DATE", 10),
    ("AVAILABLE", 9),
];

/// The table of Rollouts, with its header.
pub fn list(infos: &[RolloutInfo], extra: ListColumns, now: Timestamp) -> String {
    let header = COLUMNS
        .iter()
        .map(|(name, width)| at_least(name, *width))
        .collect();
    let header = prefixed(header, extra, "NAMESPACE", "TIMESTAMP");
    let lines = infos.iter().map(|info| cells(info, extra, now));
    columns(&std::iter::once(header).chain(lines).collect::<Vec<_>>())
}

/// One line of the table, for watching: aligned to the least widths.
pub fn list_line(info: &RolloutInfo, extra: ListColumns, now: Timestamp) -> String {
    columns(&[cells(info, extra, now)])
}

fn cells(info: &RolloutInfo, extra: ListColumns, now: Timestamp) -> Vec<String> {
    let dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let meta = &info.object_meta;
    let values = [
        meta.name.clone().unwrap_or_default(),
        info.strategy.clone(),
        info.status.as_str().to_owned(),
        dash(&info.step),
        dash(&info.set_weight),
        format!("{}/{}", info.ready, info.current),
        info.desired.to_string(),
        info.updated.to_string(),
        info.available.to_string(),
    ];
    let cells = values
        .iter()
        .zip(COLUMNS)
        .map(|(cell, (_, width))| at_least(cell, width));
    let timestamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let namespace = meta.namespace.clone().unwrap_or_default();
    prefixed(cells.collect(), extra, &namespace, &timestamp)
}

fn prefixed(
    cells: Vec<String>,
    extra: ListColumns,
    namespace: &str,
    timestamp: &str,
) -> Vec<String> {
    // An RFC 3339 time in UTC has twenty characters.
    let timestamp = extra.timestamp.then(|| at_least(timestamp, 20));
    timestamp
        .into_iter()
        .chain(
            extra
                .namespace
                .then(|| at_least(namespace, "NAMESPACE".len())),
        )
        .chain(cells)
        .collect()
}

/// The table of experiments.
pub fn experiments(items: &[Experiment], namespaces: bool, now: Timestamp) -> String {
    let mut header = vec!["NAME", "STATUS", "DURATION", "REMAINING", "AGE"];
    if namespaces {
        header.insert(0, "NAMESPACE");
    }
    let header = header.into_iter().map(str::to_owned).collect();
    let lines = items.iter().map(|one| {
        let mut cells = experiment(one, now);
        if namespaces {
            cells.insert(0, one.namespace().unwrap_or_default());
        }
        cells
    });
    columns(&std::iter::once(header).chain(lines).collect::<Vec<_>>())
}

fn experiment(experiment: &Experiment, now: Timestamp) -> Vec<String> {
    let status = experiment.status.as_ref();
    let dash = || "-".to_owned();
    let length_s = experiment.spec.duration.as_deref().and_then(|text| {
        duration::parse_go(text)
            .ok()
            .map(|nanos| nanos / 1_000_000_000)
    });
    let available = status.and_then(|status| status.available_at.as_ref());
    let finished = status.and_then(|status| status.phase).is_some_and(is_final);
    let left = available
        .zip(length_s)
        .filter(|_| !finished)
        .map(|(available, length_s)| {
            let passed_s = now.duration_since(available.0).as_secs();
            duration::human((length_s - passed_s).max(0))
        });
    let created = experiment.metadata.creation_timestamp.as_ref();
    let age = created.map(|time| duration::human(now.duration_since(time.0).as_secs()));
    let phase = status
        .and_then(|status| status.phase)
        .map(|phase| phase.to_string());
    vec![
        experiment.name_any(),
        phase.unwrap_or_else(dash),
        length_s.map_or_else(dash, duration::human),
        left.unwrap_or_else(dash),
        age.unwrap_or_else(dash),
    ]
}

fn is_final(phase: api::AnalysisPhase) -> bool {
    !matches!(
        phase,
        api::AnalysisPhase::Pending | api::AnalysisPhase::Running
    )
}
