//! Manifests and live objects: the input is a JSON array of what Git declares, a live object, and a
//! second one, which may be a Rollout that writes to the first.
#![no_main]

use gitops::manifest::{PrepareContext, prepare};
use gitops::{DiffRules, Document, LiveTree, Origin, Scopes, compare};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok([declared, live, other]) = serde_json::from_slice::<[Value; 3]>(data) else {
        return;
    };
    let documents = [Document {
        origin: Origin::default(),
        object: declared,
    }];
    let context = PrepareContext {
        app: "fuzz",
        namespace: "demo",
        scopes: &Scopes::default(),
    };
    let target = prepare(&documents, &context).manifests;
    let mut rules = DiffRules::new("fuzz", Vec::new(), true);
    rules.learn(&other);
    let live: LiveTree = [live, other].into_iter().collect();
    let compared = compare(&target, &live, &rules);
    assert_eq!(compare(&target, &live, &rules), compared);
});
