use crate::{table, text};
use gocompat::hash::{canonical_template, pod_template_hash, step_hash};

#[test]
fn recorded_rollouts_have_their_hashes() {
    for row in table("timeline_templates") {
        let hash = pod_template_hash(&row["template"], None);
        assert_eq!(
            hash,
            text(&row, "hash"),
            "{} {}",
            row["scenario"],
            row["revision"]
        );
    }
}

#[test]
fn recorded_canaries_have_their_step_hashes() {
    for row in table("timeline_steps") {
        let steps = Some(&row["steps"]).filter(|steps| !steps.is_null());
        assert_eq!(step_hash(steps), text(&row, "hash"), "{}", row["scenario"]);
    }
}

#[test]
fn random_templates_hash_as_in_go() {
    let mut checked = 0;
    for row in table("random_templates") {
        let template = &row["template"];
        let bytes = canonical_template(template);
        assert_eq!(
            Some(bytes.len() as u64),
            row["bytes"].as_u64(),
            "{template}\n{bytes}"
        );
        let collisions = row["collisions"].as_i64().map(|count| count as i32);
        assert_eq!(
            pod_template_hash(template, collisions),
            text(&row, "hash"),
            "{bytes}"
        );
        checked += 1;
    }
    assert_eq!(checked, 250);
}
