//! Writes a server's answers into the table: what a new case is made with, and what a new version
//! of Kubernetes is read with. Only the expectations of cases that differ are rewritten; everything
//! else of a file stays as it was typed.

use crate::{Expected, File, Replay, Server, TableError, Which, emit};

/// Replays a file on a real server and rewrites the expectations that differ. Returns how many.
pub async fn record(file: &File, server: &impl Server) -> Result<usize, TableError> {
    let mut replay = Replay::new(server, Which::Real);
    let mut changes = Vec::new();
    for (index, case) in file.cases.iter().enumerate() {
        match replay.settle(case).await {
            Ok((_, lines)) if lines.is_empty() => {}
            Ok((have, _)) => changes.push((index, have)),
            Err(message) => {
                let path = file.path.clone();
                let message = format!("{}: {message}", case.name);
                return Err(TableError::Format { path, message });
            }
        }
    }
    let io = |error| TableError::Io {
        path: file.path.clone(),
        error,
    };
    let text = std::fs::read_to_string(&file.path).map_err(io)?;
    std::fs::write(&file.path, rewrite(&text, &changes)).map_err(io)?;
    Ok(changes.len())
}

/// Keys of a case that are part of its expectation.
const EXPECTATION: [&str; 4] = ["  status:", "  warnings:", "  content_type:", "  answer:"];

fn rewrite(text: &str, changes: &[(usize, Expected)]) -> String {
    let mut out = String::new();
    let (mut case, mut dropping) = (None::<usize>, false);
    let mut pending: Option<&Expected> = None;
    let change = |case: usize| {
        let found = changes.iter().find(|(index, _)| *index == case);
        found.map(|(_, have)| have)
    };
    for line in text.lines() {
        if line.starts_with("- ") {
            flush(&mut pending, &mut out);
            let next = case.map_or(0, |case| case + 1);
            case = Some(next);
            pending = change(next);
        }
        let changed = case.and_then(change).is_some();
        let key = line.starts_with("  ") && !line.starts_with("   ") && !line.starts_with("  -");
        if key || line.starts_with("- ") || line.is_empty() {
            dropping = changed && EXPECTATION.iter().any(|key| line.starts_with(key));
        }
        if line.is_empty() {
            flush(&mut pending, &mut out);
        }
        if !dropping {
            out.push_str(line);
            out.push('\n');
        }
    }
    flush(&mut pending, &mut out);
    out
}

fn flush(pending: &mut Option<&Expected>, out: &mut String) {
    let Some(have) = pending.take() else {
        return;
    };
    emit::entry("status", &have.status.into(), 2, out);
    if !have.warnings.is_empty() {
        emit::entry("warnings", &have.warnings.clone().into(), 2, out);
    }
    if let Some(content_type) = &have.content_type {
        emit::entry("content_type", &content_type.clone().into(), 2, out);
    }
    emit::entry("answer", &have.answer, 2, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_expectations_that_differ_are_rewritten() {
        let text = "# Head.\n\n- name: a\n  send: GET /a\n  status: 200\n  answer:\n    k: v\n    l:\n    - 1\n\n- name: b\n  send: GET /b\n\n- name: c\n  send: GET /c\n  status: 200\n  answer: ok\n";
        let have = |status, answer| Expected {
            status,
            warnings: Vec::new(),
            content_type: None,
            answer,
        };
        let changes = [(0, have(404, json!({}))), (1, have(200, json!(["x"])))];
        let want = "# Head.\n\n- name: a\n  send: GET /a\n  status: 404\n  answer: {}\n\n- name: b\n  send: GET /b\n  status: 200\n  answer: [x]\n\n- name: c\n  send: GET /c\n  status: 200\n  answer: ok\n";
        assert_eq!(rewrite(text, &changes), want);
    }
}
