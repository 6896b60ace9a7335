//! Closed sets of strings.

/// Defines an enum whose values travel as fixed strings: `as_str`, `Display`, `FromStr`, serde and
/// the CRD schema all agree.
///
/// `closed` sets are enumerated in the CRD, so that the API server refuses anything else: fields
/// that people write. `open` sets are plain strings there: fields that controllers write, which
/// must not make a status write fail when another version knows one value more. (`x-values` is for
/// `lenient` and not part of the CRD.)
macro_rules! text_enum {
    ($(#[$doc:meta])* $openness:ident $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value as it stands in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str() == text)
                    .ok_or_else(|| $crate::UnknownValue::new(stringify!($name), text))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::text_enum::text_enum!(@schema $openness $($text),+)
            }
        }
    };
    (@schema closed $($text:literal),+) => {
        schemars::json_schema!({ "type": "string", "enum": [$($text),+] })
    };
    (@schema open $($text:literal),+) => {
        schemars::json_schema!({ "type": "string", "x-values": [$($text),+] })
    };
}
pub(crate) use text_enum;

/// A string that is not in its closed set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownValue {
    set: &'static str,
    text: String,
}

impl UnknownValue {
    pub(crate) fn new(set: &'static str, text: &str) -> Self {
        Self {
            set,
            text: text.to_owned(),
        }
    }
}

impl std::fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is not a {}", self.text, self.set)
    }
}

impl std::error::Error for UnknownValue {}
