//! Protobuf → the JSON that the same object would be.

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::schema::{Field, Shape, Type, table};
use crate::clock::rfc3339;

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Nesting beyond this is refused.
const MAX_DEPTH: usize = 64;

/// One value as it lies on the wire.
enum Item<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Decodes a body. Errors say what is wrong in lower case.
pub(crate) fn decode(body: &[u8]) -> Result<Value, String> {
    let rest = body
        .strip_prefix(MAGIC)
        .ok_or("provided data does not appear to be a protobuf message")?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    each(rest, |number, item| {
        match (number, item) {
            (1, Item::Bytes(meta)) => each(meta, |number, item| {
                match (number, item) {
                    (1, Item::Bytes(bytes)) => api_version = text(bytes),
                    (2, Item::Bytes(bytes)) => kind = text(bytes),
                    _ => {}
                }
                Ok(())
            })?,
            (2, Item::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
        Ok(())
    })?;
    let index = table()
        .kind(&api_version, &kind)
        .ok_or_else(|| format!("no kind {kind:?} is registered for version {api_version:?}"))?;
    let mut object = message(index, raw, 0)?;
    object.insert("apiVersion".to_owned(), json!(api_version));
    object.insert("kind".to_owned(), json!(kind));
    Ok(Value::Object(object))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Calls `visit` for every field of a message.
fn each<'a>(
    mut bytes: &'a [u8],
    mut visit: impl FnMut(u64, Item<'a>) -> Result<(), String>,
) -> Result<(), String> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let item = match key & 7 {
            0 => Item::Number(varint(&mut bytes)?),
            1 => Item::Number(u64::from_le_bytes(
                take(&mut bytes, 8)?.try_into().unwrap_or_default(),
            )),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).unwrap_or(usize::MAX);
                Item::Bytes(take(&mut bytes, length)?)
            }
            5 => {
                let four = take(&mut bytes, 4)?.try_into().unwrap_or_default();
                Item::Number(u64::from(u32::from_le_bytes(four)))
            }
            other => return Err(format!("illegal wire type {other}")),
        };
        visit(key >> 3, item)?;
    }
    Ok(())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (head, rest) = bytes
        .split_at_checked(length)
        .ok_or("unexpected end of message")?;
    *bytes = rest;
    Ok(head)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("integer overflow".to_owned())
}

fn message(index: usize, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, String> {
    if depth > MAX_DEPTH {
        return Err("message is nested too deeply".to_owned());
    }
    let fields = &table().messages[index];
    let mut object = Map::new();
    each(bytes, |number, item| match fields.get(&number) {
        Some(field) => put(&mut object, field, &item, depth),
        None => Ok(()),
    })?;
    Ok(object)
}

fn put(
    object: &mut Map<String, Value>,
    field: &Field,
    item: &Item<'_>,
    depth: usize,
) -> Result<(), String> {
    match field.shape {
        Shape::One => {
            let value = value(field.kind, item, depth)?;
            if field.name == "." {
                object.extend(value.as_object().cloned().unwrap_or_default());
            } else if !(value.is_null() || field.omit_zero && is_zero(&value)) {
                object.insert(field.name.to_owned(), value);
            }
        }
        Shape::List => {
            let value = value(field.kind, item, depth)?;
            let list = object.entry(field.name).or_insert_with(|| json!([]));
            list.as_array_mut()
                .map(|list| list.push(value))
                .ok_or("a list is no list")?;
        }
        Shape::Map => {
            let Item::Bytes(entry) = item else {
                return Err("illegal map entry".to_owned());
            };
            let (mut key, mut mapped) = (String::new(), json!(""));
            each(entry, |number, item| {
                match (number, &item) {
                    (1, Item::Bytes(bytes)) => key = text(bytes),
                    (2, _) => mapped = value(field.kind, &item, depth)?,
                    _ => {}
                }
                Ok(())
            })?;
            object.entry(field.name).or_insert_with(|| json!({}))[key] = mapped;
        }
    }
    Ok(())
}

/// Scalars only: an empty struct is written out by Go.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn value(kind: Type, item: &Item<'_>, depth: usize) -> Result<Value, String> {
    Ok(match (kind, item) {
        (Type::Bool, Item::Number(number)) => json!(*number != 0),
        (Type::Int, Item::Number(number)) => json!(number.cast_signed()),
        (Type::Double, Item::Number(bits)) => json!(f64::from_bits(*bits)),
        (Type::Text, Item::Bytes(bytes)) => json!(text(bytes)),
        (Type::Bytes, Item::Bytes(bytes)) => {
            json!(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        (Type::Message(index), Item::Bytes(bytes)) => {
            Value::Object(message(index, bytes, depth + 1)?)
        }
        (Type::Time | Type::MicroTime, Item::Bytes(bytes)) => time(bytes, kind == Type::MicroTime)?,
        (Type::Quantity, Item::Bytes(bytes)) => {
            let (_, words) = parts(bytes, 1)?;
            json!(text(words))
        }
        (Type::Raw, Item::Bytes(bytes)) => {
            let (_, raw) = parts(bytes, 1)?;
            if raw.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(raw).map_err(|e| e.to_string())?
            }
        }
        (Type::IntOrString, Item::Bytes(bytes)) => {
            let (numbers, words) = parts(bytes, 3)?;
            if numbers[0] == 1 {
                json!(text(words))
            } else {
                json!(numbers[1].cast_signed())
            }
        }
        _ => return Err("wire type does not match the field".to_owned()),
    })
}

/// The numbers in fields 1 and 2, and the bytes in field `at`.
fn parts(bytes: &[u8], at: u64) -> Result<([u64; 2], &[u8]), String> {
    let (mut numbers, mut found) = ([0, 0], &[][..]);
    each(bytes, |number, item| {
        match (number, item) {
            (1, Item::Number(value)) => numbers[0] = value,
            (2, Item::Number(value)) => numbers[1] = value,
            (number, Item::Bytes(bytes)) if number == at => found = bytes,
            _ => {}
        }
        Ok(())
    })?;
    Ok((numbers, found))
}

fn time(bytes: &[u8], micro: bool) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let ([seconds, nanos], _) = parts(bytes, 0)?;
    let nanos = i32::try_from(nanos).unwrap_or_default();
    let at = Timestamp::new(seconds.cast_signed(), nanos).map_err(|error| error.to_string())?;
    Ok(json!(if micro {
        at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    } else {
        rfc3339(at)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [
            &[number << 3 | 2, u8::try_from(bytes.len()).unwrap()],
            bytes,
        ]
        .concat()
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &meta), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_is_read() {
        let entry = [field(1, b"k"), field(2, b"v")].concat();
        let raw = [
            field(1, &[field(1, b"a"), field(2, b"")].concat()),
            field(2, &entry),
        ]
        .concat();
        let want = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
        assert_eq!(decode(&envelope("v1", "ConfigMap", &raw)).unwrap(), want);
    }

    #[test]
    fn broken_bodies_are_refused() {
        assert!(decode(b"{}").is_err());
        assert!(decode(&envelope("v1", "Nothing", b"")).is_err());
        let good = envelope("v1", "ConfigMap", &field(1, &field(1, b"a")));
        for cut in MAGIC.len() + 1..good.len() {
            assert!(decode(&good[..cut]).is_err() || cut < 22, "{cut}");
        }
        assert!(decode(&[MAGIC, &[0xff; 12]].concat()).is_err());
    }
}
