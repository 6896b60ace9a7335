//! The screens of `get rollout` and `get experiment` (rollouts.md §8.2).

use super::style;
use crate::table::columns;
use engine::info::{self, ExperimentInfo, Icon, ImageTags, RolloutInfo, Row, Tree};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::fmt::{Display, Write};

/// The screen of a Rollout. `now` is what ages and delays are counted to.
pub fn rollout(info: &RolloutInfo, now: Timestamp) -> String {
    let mut head = Head::new(
        &info.object_meta,
        info.icon,
        info.status.as_str(),
        &info.message,
    );
    if !info.strategy.is_empty() {
        head.line("Strategy:", &info.strategy);
    }
    if info.strategy == "Canary" {
        head.line("  Step:", &info.step);
        head.line("  SetWeight:", &info.set_weight);
        head.line("  ActualWeight:", &info.actual_weight);
    }
    head.images(&info::images(info));
    head.text.push_str("Replicas:\n");
    head.line("  Desired:", info.desired);
    head.line("  Current:", info.current);
    head.line("  Updated:", info.updated);
    head.line("  Ready:", info.ready);
    head.line("  Available:", info.available);
    head.with_tree(&Tree::of_rollout(info, now))
}

/// The screen of an experiment.
pub fn experiment(info: &ExperimentInfo, now: Timestamp) -> String {
    let mut head = Head::new(&info.object_meta, info.icon, &info.status, &info.message);
    head.images(&info::experiment_images(info));
    head.with_tree(&Tree::of_experiment(info, now))
}

/// Names and values, the values in one column.
struct Head {
    text: String,
}

impl Head {
    fn new(meta: &ObjectMeta, icon: Icon, status: &str, message: &str) -> Self {
        let mut head = Self {
            text: String::new(),
        };
        head.line("Name:", meta.name.as_deref().unwrap_or_default());
        head.line("Namespace:", meta.namespace.as_deref().unwrap_or_default());
        head.line("Status:", style::state(icon, status));
        if !message.is_empty() {
            head.line("Message:", message);
        }
        head
    }

    fn line(&mut self, name: &str, value: impl Display) {
        writeln!(self.text, "{name:<17}{value}").expect("writing to a String works");
    }

    fn images(&mut self, images: &[ImageTags]) {
        for (index, image) in images.iter().enumerate() {
            let name = if index == 0 { "Images:" } else { "" };
            let tags: Vec<String> = image.tags.iter().map(|tag| style::role(tag)).collect();
            if tags.is_empty() {
                self.line(name, &image.image);
            } else {
                self.line(name, format_args!("{} ({})", image.image, tags.join(", ")));
            }
        }
    }

    fn with_tree(mut self, tree: &Tree) -> String {
        let header = ["NAME", "KIND", "STATUS", "AGE", "INFO"].map(str::to_owned);
        let rows: Vec<Vec<String>> = std::iter::once(header.to_vec())
            .chain(tree.rows.iter().map(cells))
            .collect();
        self.text.push('\n');
        self.text.push_str(&columns(&rows));
        self.text
    }
}

fn cells(row: &Row) -> Vec<String> {
    let notes: Vec<String> = row.notes.iter().map(|note| style::role(note)).collect();
    vec![
        format!("{}{} {}", row.branch, row.kind.sign(), row.name),
        row.kind.as_str().to_owned(),
        row.icon
            .map(|icon| style::state(icon, &row.status))
            .unwrap_or_default(),
        row.age.clone(),
        notes.join(","),
    ]
}
