//! Fields that a JSON document has twice. Parsing keeps the last one and says nothing, so they are
//! looked for apart.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The paths of repeated fields in document order; empty if the text is no JSON.
pub(super) fn find(text: &[u8]) -> Vec<String> {
    let found = RefCell::new(Vec::new());
    let walk = Walk {
        path: String::new(),
        found: &found,
    };
    let mut reader = serde_json::Deserializer::from_slice(text);
    match walk.deserialize(&mut reader) {
        Ok(()) => found.into_inner(),
        Err(_) => Vec::new(),
    }
}

struct Walk<'a> {
    path: String,
    found: &'a RefCell<Vec<String>>,
}

impl Walk<'_> {
    fn at(&self, path: String) -> Walk<'_> {
        Walk {
            path,
            found: self.found,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let item = self.at(format!("{}[{index}]", self.path));
            if items.next_element_seed(item)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = fields.next_key::<String>()? {
            let path = if self.path.is_empty() {
                key.clone()
            } else {
                format!("{}.{key}", self.path)
            };
            if seen.insert(key) {
                fields.next_value_seed(self.at(path))?;
            } else {
                self.found.borrow_mut().push(path);
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_fields_are_told_with_their_paths() {
        let text = br#"{"a":1,"b":[{"c":{},"c":{"c":1}}],"d":{"e":null,"e":1.5},"a":2}"#;
        assert_eq!(find(text), ["b[0].c", "d.e", "a"]);
        assert!(find(br#"{"a":{"a":true}}"#).is_empty());
        assert!(find(b"a: b").is_empty());
    }
}
