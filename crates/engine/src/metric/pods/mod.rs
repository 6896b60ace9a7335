//! Counters of the Rollout's own pods, before and after a window of time.
//!
//! A measurement scrapes the pods of both versions, waits for the window, scrapes the same pods
//! again, and adds up what each counter increased by. The result of a condition is a map such as
//! `{canary: {errors: 12, total: 300}, stable: {…}}`.
//!
//! What is no clear answer never passes silently:
//! - No running pods of the canary, a pod that can't be scraped, that vanishes within the window,
//!   or that answers with something else than metrics text: an Error measurement that says so.
//!   (Errors are retried after ten seconds, up to `consecutiveErrorLimit`.)
//! - A counter that no pod exposes: an Error, unless it is `optional`.
//! - A value that is no number, or negative: an Error.
//! - No traffic on the canary (the `traffic` counter did not increase): Inconclusive.
//! - No running pods of the stable version: `result.stable` is nil, and metadata says so. A
//!   condition that uses it is an Error.
//!
//! A counter that is lower than before was reset: what it has now is its increase. A series that
//! is new counts from 0. Pods that appear within the window are measured the next time. Of each
//! version, at most [`MAX_PODS`] are scraped, the first by name.

mod increase;
mod measure;
mod scrape;
mod target;

pub(crate) use target::context;

pub(super) use measure::{Cx, step};

/// Most pods of a version that are scraped.
const MAX_PODS: usize = 50;
