//! Objects as the planner wants them.

use serde_json::Value;
use std::sync::Arc;

pub(crate) fn parse<T: serde::de::DeserializeOwned>(objects: Vec<Value>) -> Vec<Arc<T>> {
    let parse = |object| Arc::new(serde_json::from_value(object).unwrap());
    objects.into_iter().map(parse).collect()
}
