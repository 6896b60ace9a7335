//! Strategic merge patch, as apimachinery's `strategicpatch` applies it on the server.
//!
//! Maps merge key by key. A list merges item by item where the schema says so (`patch.merge`),
//! items of objects being told apart by `patch.key`; else it is replaced. Directives inside the
//! patch:
//!
//! | directive | where | effect |
//! | --- | --- | --- |
//! | `$patch: replace` | map, or an item of a merged list | the rest of the patch takes the place of the original |
//! | `$patch: delete` | map, or an item of a merged list | empties the map, or removes the items with its key |
//! | `$patch: merge` | map | nothing: merging is what happens anyway |
//! | `$retainKeys` | map | keys of the original that are not listed go away |
//! | `$setElementOrder/FIELD` | map | the order of the merged list |
//! | `$deleteFromPrimitiveList/FIELD` | map | removes these scalars |
//! | `null` | map | removes the key |

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::PatchError;
use crate::schema::{PatchMeta, Schema};
use crate::{MAX_DEPTH, go};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder";
const DELETE_SCALARS: &str = "$deleteFromPrimitiveList";

const BAD_RETAIN_KEYS: &str = "invalid patch format of retainKeys";
const BAD_ORDER: &str = "invalid patch format of setElementOrder list";
const BAD_SCALARS: &str = "invalid patch format of primitive list";

type Result<T> = std::result::Result<T, PatchError>;
type Fields = Map<String, Value>;

/// Applies a strategic merge patch to `document`, an object of the kind that `schema` describes.
///
/// Errors: a patch that is no object or misuses a directive ([`PatchError::BadRequest`]), lists
/// that cannot be merged ([`PatchError::Internal`], as the server has it).
pub fn strategic(document: &Value, patch: &Value, schema: &Schema) -> Result<Value> {
    let Value::Object(changes) = patch else {
        return Err(PatchError::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            go::type_name(patch)
        )));
    };
    let original = match document {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    merge_map(original, changes.clone(), Some(schema), 0).map(Value::Object)
}

fn merge_map(
    mut original: Fields,
    mut patch: Fields,
    schema: Option<&Schema>,
    depth: usize,
) -> Result<Fields> {
    if depth > MAX_DEPTH {
        return Err(PatchError::BadRequest(
            "the patch is nested too deeply".to_owned(),
        ));
    }
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return directed_map(&directive, patch, original, schema, depth);
    }
    retain_keys(&mut original, &mut patch)?;
    ordered_lists(&mut original, &mut patch, schema, depth)?;
    for (key, change) in patch {
        if let Some(field) = delete_scalars_field(&key)? {
            remove_scalars(&mut original, field, &change)?;
            continue;
        }
        merge_field(&mut original, key, change, schema, depth)?;
    }
    Ok(original)
}

/// `$patch` in a map: `replace` and `delete` end the merge here.
fn directed_map(
    directive: &Value,
    patch: Fields,
    original: Fields,
    schema: Option<&Schema>,
    depth: usize,
) -> Result<Fields> {
    match directive.as_str() {
        Some("replace") => Ok(patch),
        Some("delete") => Ok(Map::new()),
        Some("merge") => merge_map(original, patch, schema, depth + 1),
        _ => {
            let mut map = patch;
            map.insert(DIRECTIVE.to_owned(), directive.clone());
            Err(bad_type(directive, &map))
        }
    }
}

fn merge_field(
    original: &mut Fields,
    key: String,
    change: Value,
    schema: Option<&Schema>,
    depth: usize,
) -> Result<()> {
    if change.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let field = schema.and_then(|schema| schema.property(&key));
    let merged = match (original.remove(&key), change) {
        (Some(Value::Object(live)), Value::Object(change)) => {
            Some(Value::Object(merge_map(live, change, field, depth + 1)?))
        }
        (Some(Value::Array(live)), Value::Array(change)) if merges(field) => {
            Some(Value::Array(merge_list(live, change, field, depth + 1)?))
        }
        (Some(Value::Array(_)), Value::Array(change)) => Some(Value::Array(change)),
        (_, mut change) => {
            drop_nulls(&mut change, depth);
            without_directives(change, depth)
        }
    };
    if let Some(merged) = merged {
        original.insert(key, merged);
    }
    Ok(())
}

fn merges(field: Option<&Schema>) -> bool {
    field.is_some_and(|field| field.patch.merge)
}

fn retain_keys(original: &mut Fields, patch: &mut Fields) -> Result<()> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let Value::Array(retained) = retained else {
        return Err(PatchError::BadRequest(BAD_RETAIN_KEYS.to_owned()));
    };
    let retained: BTreeSet<&str> = retained.iter().filter_map(Value::as_str).collect();
    let stray = patch.iter().any(|(key, change)| {
        !change.is_null()
            && !key.starts_with(ORDER)
            && !key.starts_with(DELETE_SCALARS)
            && !retained.contains(key.as_str())
    });
    if stray {
        return Err(PatchError::BadRequest(BAD_RETAIN_KEYS.to_owned()));
    }
    original.retain(|key, _| retained.contains(key.as_str()));
    Ok(())
}

fn delete_scalars_field(key: &str) -> Result<Option<&str>> {
    match key.strip_prefix(DELETE_SCALARS) {
        None => Ok(None),
        Some(rest) => match rest.strip_prefix('/') {
            Some(field) => Ok(Some(field)),
            None => Err(PatchError::BadRequest(BAD_SCALARS.to_owned())),
        },
    }
}

fn remove_scalars(original: &mut Fields, field: &str, unwanted: &Value) -> Result<()> {
    let Value::Array(unwanted) = unwanted else {
        return Err(PatchError::BadRequest(BAD_SCALARS.to_owned()));
    };
    if let Some(Value::Array(items)) = original.get_mut(field) {
        items.retain(|item| !unwanted.contains(item));
    }
    Ok(())
}

/// Handles every `$setElementOrder/FIELD` together with the patch of FIELD, and takes both out of
/// the patch.
fn ordered_lists(
    original: &mut Fields,
    patch: &mut Fields,
    schema: Option<&Schema>,
    depth: usize,
) -> Result<()> {
    let keys: Vec<String> = patch
        .keys()
        .filter(|key| key.starts_with(ORDER))
        .cloned()
        .collect();
    for key in keys {
        let Some(field) = key
            .strip_prefix(ORDER)
            .and_then(|rest| rest.strip_prefix('/'))
        else {
            return Err(PatchError::BadRequest(BAD_ORDER.to_owned()));
        };
        let Some(Value::Array(order)) = patch.remove(&key) else {
            return Err(PatchError::BadRequest(BAD_ORDER.to_owned()));
        };
        let list = schema.and_then(|schema| schema.property(field));
        let Some(list_schema) = list else {
            return Err(PatchError::Internal(format!(
                "unable to find api field in struct {} for the json field {}",
                struct_name(schema),
                go::quote(field)
            )));
        };
        let live = take_list(original, field)?;
        let change = take_list(patch, field)?;
        let merge_key = list_schema.patch.key.as_deref();
        if let Some(change) = &change {
            check_order(change, &order, merge_key)?;
        }
        let server_order = live.clone().unwrap_or_default();
        let merged = match (live, change) {
            (None, None) => continue,
            (Some(live), None) => live,
            (None, Some(change)) => match without_directives(Value::Array(change), depth) {
                Some(Value::Array(items)) => items,
                _ => continue,
            },
            (Some(live), Some(change)) if list_schema.patch.merge => {
                merge_list(live, change, list, depth + 1)?
            }
            (Some(_), Some(change)) => change,
        };
        let ordered = interleave(merged, &order, &server_order, merge_key)?;
        original.insert(field.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

fn take_list(fields: &mut Fields, field: &str) -> Result<Option<Vec<Value>>> {
    match fields.remove(field) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(other) => Err(PatchError::Internal(format!(
            "expected a []interface {{}}, but received a {}",
            go::reflect_type(&other)
        ))),
    }
}

/// The items of the patch must stand in the order list, in its order (deletions aside).
fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<()> {
    if order.is_empty() {
        return Ok(());
    }
    let mut wanted = order.iter();
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        if !wanted.any(|entry| same(entry, item, key)) {
            let (patch, order) = (list_text(patch), list_text(order));
            return Err(PatchError::Internal(format!(
                "The order in patch list:\n{patch}\n doesn't match {ORDER} list:\n{order}\n"
            )));
        }
    }
    Ok(())
}

fn list_text(items: &[Value]) -> String {
    go::plain(&Value::Array(items.to_vec()))
}

fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    list: Option<&Schema>,
    depth: usize,
) -> Result<Vec<Value>> {
    let meta = list.map(|list| &list.patch).cloned().unwrap_or_default();
    match element_type(&original, &patch)? {
        None => Ok(original),
        Some(Element::Scalar) => merge_scalars(&original, &patch),
        Some(Element::Object) => merge_objects(original, patch, list, (&meta, depth)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Scalar,
    Object,
}

/// What the lists hold; an error if they mix types.
fn element_type(original: &[Value], patch: &[Value]) -> Result<Option<Element>> {
    let mut first: Option<&Value> = None;
    for item in original.iter().chain(patch) {
        if item.is_array() && first.is_none() {
            return Err(PatchError::Unprocessable(
                "lists of lists are not supported".to_owned(),
            ));
        }
        let known = *first.get_or_insert(item);
        if go::type_name(known) != go::type_name(item) {
            return Err(PatchError::Internal(format!(
                "list element types are not identical: [{} {}]",
                list_text(original),
                list_text(patch)
            )));
        }
    }
    Ok(first.map(|item| {
        if item.is_object() {
            Element::Object
        } else {
            Element::Scalar
        }
    }))
}

/// The union without repeats, ordered like the patch where the patch has a say.
fn merge_scalars(original: &[Value], patch: &[Value]) -> Result<Vec<Value>> {
    let mut merged: Vec<Value> = Vec::with_capacity(original.len() + patch.len());
    for item in original.iter().chain(patch) {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    interleave(merged, patch, original, None)
}

fn merge_objects(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    list: Option<&Schema>,
    (meta, depth): (&PatchMeta, usize),
) -> Result<Vec<Value>> {
    let item_schema = list.and_then(Schema::item);
    let Some(key) = meta.key.as_deref() else {
        return Err(PatchError::Internal(format!(
            "cannot merge lists without merge key for {}",
            struct_name(item_schema)
        )));
    };
    let (plain, replace) = take_specials(&mut original, patch, key)?;
    if replace {
        return Ok(plain);
    }
    let server_order = original.clone();
    for change in &plain {
        let Value::Object(change_fields) = change else {
            continue;
        };
        let Some(wanted) = change_fields.get(key) else {
            return Err(no_merge_key(change, key));
        };
        let found = original
            .iter_mut()
            .find(|item| item.get(key) == Some(wanted));
        match found {
            Some(Value::Object(fields)) => {
                let live = std::mem::take(fields);
                *fields = merge_map(live, change_fields.clone(), item_schema, depth + 1)?;
            }
            _ => original.push(change.clone()),
        }
    }
    interleave(original, &plain, &server_order, Some(key))
}

/// Carries out `$patch: delete` items, and tells the ordinary items and whether the list is
/// replaced.
fn take_specials(
    original: &mut Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, bool)> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Some(directive) = item.get(DIRECTIVE) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let Some(unwanted) = item.get(key) else {
                    return Err(no_merge_key(&item, key));
                };
                original.retain(|live| live.get(key) != Some(unwanted));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(PatchError::Internal(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            _ => {
                let fields = item.as_object().cloned().unwrap_or_default();
                return Err(bad_type(directive, &fields));
            }
        }
    }
    Ok((plain, replace))
}

/// Orders a merged list: items named in `order` as they stand there, the others as they stood on
/// the server, the two runs merged so that an item of the server comes first only if it stood
/// before.
fn interleave(
    merged: Vec<Value>,
    order: &[Value],
    server_order: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>> {
    if let Some(key) = key
        && let Some(item) = merged.iter().find(|item| item.get(key).is_none())
    {
        return Err(no_merge_key(item, key));
    }
    let place = |list: &[Value], item: &Value| list.iter().position(|entry| same(entry, item, key));
    let (mut named, mut others): (Vec<_>, Vec<_>) = merged
        .into_iter()
        .partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    others.sort_by_key(|item| place(server_order, item).unwrap_or(usize::MAX));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let take_other = match (others.peek(), named.peek()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(other), Some(name)) => {
                let places = (place(server_order, other), place(server_order, name));
                matches!(places, (Some(other), Some(name)) if other < name)
            }
        };
        let Some(item) = (if take_other {
            others.next()
        } else {
            named.next()
        }) else {
            return Ok(out);
        };
        out.push(item);
    }
}

fn same(left: &Value, right: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => left.get(key).is_some() && left.get(key) == right.get(key),
        None => left == right,
    }
}

/// Nulls inside a value that is taken over as a whole delete nothing and are left out.
fn drop_nulls(value: &mut Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields
                .values_mut()
                .for_each(|value| drop_nulls(value, depth + 1));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| drop_nulls(item, depth + 1)),
        _ => {}
    }
}

/// The value without maps that carry `$patch`; `None` if it is one.
fn without_directives(value: Value, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return Some(value);
    }
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => {
            let kept = fields.into_iter();
            let kept = kept.filter_map(|(key, v)| Some((key, without_directives(v, depth + 1)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => {
            let kept = items
                .into_iter()
                .filter_map(|item| without_directives(item, depth + 1));
            Some(Value::Array(kept.collect()))
        }
        other => Some(other),
    }
}

fn no_merge_key(item: &Value, key: &str) -> PatchError {
    let text = go::plain(item);
    PatchError::Internal(format!(
        "map: {text} does not contain declared merge key: {key}"
    ))
}

fn bad_type(directive: &Value, map: &Fields) -> PatchError {
    let map = go::plain(&Value::Object(map.clone()));
    PatchError::Internal(format!(
        "unknown patch type: {} in map: {map}",
        go::plain(directive)
    ))
}

/// The Go name of a built-in type: the last part of its definition's name.
fn struct_name(schema: Option<&Schema>) -> &str {
    let name = schema
        .and_then(|schema| schema.link.as_deref())
        .unwrap_or_default();
    name.rsplit('.').next().unwrap_or_default()
}
