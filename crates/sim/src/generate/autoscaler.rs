//! An autoscaler that goes to and fro, and blue-green without a preview. Drawn from a stream of its
//! own, as [`super::features`] are.

use super::{BUSY_MS, Timed, one};
use crate::actor::Act;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const SALT: u64 = 0x4a5c;

/// Adds what this seed has.
pub(super) fn add(seed: u64, spec: &mut Value, acts: &mut Vec<Timed>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SALT);
    if rng.random_bool(0.1) {
        acts.extend(to_and_fro(&mut rng));
        acts.sort_by_key(|timed| timed.at_ms);
    }
    let goes = rng.random_bool(0.15);
    if let Some(Value::Object(fields)) = spec.pointer_mut("/strategy/blueGreen")
        && goes
    {
        fields.remove("previewService");
    }
}

/// Between two sizes, faster than pods come or slower than updates go on.
fn to_and_fro(rng: &mut ChaCha8Rng) -> Vec<Timed> {
    let begins = rng.random_range(0..BUSY_MS);
    let every = one(rng, &[500, 3_000, 15_000]);
    let sizes = [rng.random_range(1..7), rng.random_range(1..7)];
    let count = rng.random_range(4..12);
    let sizes = sizes.into_iter().cycle().take(count);
    let moments = (0..).map(|number| begins + number * every);
    moments
        .zip(sizes)
        .map(|(at_ms, replicas)| Timed {
            at_ms,
            act: Act::Scale(replicas),
        })
        .collect()
}
