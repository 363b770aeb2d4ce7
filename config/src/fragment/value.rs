// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values that may be written in more than one way, and tables that may be written in only one.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Spanned, Text};

/// What is only ever written as a table. Left to itself, serde would also fill a struct from a list, by position.
#[derive(Debug)]
pub struct Table<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Only<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Only<T> {
            type Value = Table<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Table<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Table)
            }
        }
        deserializer.deserialize_map(Only(PhantomData))
    }
}

/// For a field that is one.
pub(super) fn table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Table::deserialize(deserializer).map(|Table(value)| Some(value))
}

/// A string, or a number as the text it stands for.
#[derive(Debug, Clone)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar(text))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// The value of a setting that ct does not know by type.
#[derive(Debug, Clone)]
pub enum Setting {
    /// A string, or a number as the text it stands for.
    Text(String),
    /// `true` or `false`
    Bool(bool),
    /// Several values.
    List(Vec<Text>),
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Setting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a whole number, true, false or a list of strings")
            }

            fn visit_str<E>(self, text: &str) -> Result<Setting, E> {
                Ok(Setting::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Setting, E> {
                Ok(Setting::Text(text))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Setting, E> {
                Ok(Setting::Text(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Setting, E> {
                Ok(Setting::Text(number.to_string()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Setting, E> {
                Ok(Setting::Bool(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Setting, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Setting::List(list))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// One side of `[idmap]`.
#[derive(Debug)]
pub enum IdRanges {
    /// The account's ranges of subuid(5) and subgid(5).
    Auto,
    /// As written; that each has three numbers is not yet checked.
    Ranges(Vec<Spanned<Vec<i64>>>),
}

impl<'de> Deserialize<'de> for IdRanges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ranges;
        impl<'de> Visitor<'de> for Ranges {
            type Value = IdRanges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\" or a list of [container id, host id, count]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<IdRanges, E> {
                match text {
                    "auto" => Ok(IdRanges::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<IdRanges, A::Error> {
                let mut ranges = Vec::new();
                while let Some(range) = items.next_element()? {
                    ranges.push(range);
                }
                Ok(IdRanges::Ranges(ranges))
            }
        }
        deserializer.deserialize_any(Ranges)
    }
}
