//! The replica arithmetic against the golden vectors of the peer.

use engine::rollout::canary::split::{Arm, Basic, Recorded, Routed, Split, abort_weight};

const VECTORS: &str = include_str!("../fixtures/replicas.csv");

fn rows(kind: &'static str) -> impl Iterator<Item = (&'static str, Vec<i32>)> {
    VECTORS.lines().filter_map(move |line| {
        let (head, rest) = line.split_once(',')?;
        let numbers = || rest.split(',').map(|cell| cell.parse().unwrap()).collect();
        (head == kind).then(|| (line, numbers()))
    })
}

#[test]
fn sizes_without_a_router_match_every_vector() {
    let mut count = 0;
    for (line, row) in rows("b") {
        let [replicas, surge, unavailable, weight, has_stable, ..] = row[..] else {
            panic!("short row {line}");
        };
        let arm = |at: usize| Arm {
            spec: row[at],
            available: row[at + 1],
        };
        let aborted = row[12] == 1;
        let basic = Basic {
            replicas,
            surge,
            unavailable,
            weight: match (has_stable == 1, aborted) {
                (false, _) => 100,
                (true, true) => 0,
                (true, false) => weight,
            },
            max_weight: 100,
            new: Some(arm(5)),
            stable: (has_stable == 1).then(|| arm(7)),
            distinct: has_stable == 1,
            others_spec: row[9],
        };
        let want = Split {
            new: row[10],
            stable: row[11],
        };
        assert_eq!(basic.next(), want, "{line}");
        count += 1;
    }
    assert_eq!(count, 2666);
}

#[test]
fn sizes_with_a_router_match_every_vector() {
    let mut count = 0;
    for (line, row) in rows("t") {
        let [
            replicas,
            max_weight,
            dynamic,
            min_pods,
            aborted,
            abort_delay_s,
            recorded,
            ..,
        ] = row[..]
        else {
            panic!("short row {line}");
        };
        let (dynamic_stable, aborted) = (dynamic == 1, aborted == 1);
        let (steps, new_available, stable_available) = (&row[7..9], row[9], row[11]);
        let weight = if aborted && dynamic_stable {
            let missing = replicas - stable_available;
            let needed = if abort_delay_s > 0 {
                missing
            } else {
                missing.max(new_available)
            };
            abort_weight(steps, needed, replicas, max_weight)
        } else if aborted {
            0
        } else {
            steps[1]
        };
        assert_eq!(weight, row[15], "weight of {line}");
        let routed = Routed {
            replicas,
            max_weight,
            scale: None,
            weight,
            dynamic_stable,
            min_pods: (min_pods >= 0).then_some(min_pods),
            aborted,
            recorded: (recorded >= 0).then(|| Recorded {
                canary: recorded,
                stable: max_weight - recorded,
            }),
        };
        let want = Split {
            new: row[13],
            stable: row[14],
        };
        assert_eq!(routed.split(), want, "{line}");
        count += 1;
    }
    assert_eq!(count, 1334);
}
