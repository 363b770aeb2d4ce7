// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of D-Bus as JSON, for those who read all that there is: structures and arrays are arrays, a dictionary is an
//! object, 128 bits of an id are the text that they are everywhere else.

use serde_json::Value as Json;
use zbus::zvariant::Value;

/// A value in JSON. Descriptors are null.
pub fn of(value: &Value<'_>) -> Json {
    match value {
        Value::U8(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::I16(number) => (*number).into(),
        Value::U16(number) => (*number).into(),
        Value::I32(number) => (*number).into(),
        Value::U32(number) => (*number).into(),
        Value::I64(number) => (*number).into(),
        Value::U64(number) => (*number).into(),
        Value::F64(number) => (*number).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Signature(signature) => signature.to_string().into(),
        Value::ObjectPath(path) => path.as_str().into(),
        Value::Value(inner) => of(inner),
        Value::Array(array) => array_of(array.inner()),
        Value::Structure(structure) => structure.fields().iter().map(of).collect(),
        Value::Dict(dictionary) => {
            let key = |key: &Value<'_>| match of(key) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            Json::Object(dictionary.iter().map(|(name, value)| (key(name), of(value))).collect())
        }
        // Descriptors, and what zvariant may learn.
        _ => Json::Null,
    }
}

fn array_of(values: &[Value<'_>]) -> Json {
    let byte =
        |value: &Value<'_>| if let Value::U8(byte) = value { Some(format!("{byte:02x}")) } else { None };
    let id: Option<String> = values.iter().map(byte).collect();
    match id {
        Some(text) if values.len() == 16 => text.into(),
        _ => values.iter().map(of).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_kind_has_a_form() {
        assert_eq!(of(&Value::from(u64::MAX)), Json::from(u64::MAX));
        assert_eq!(of(&Value::from(vec!["a", "b"])).to_string(), r#"["a","b"]"#);
        assert_eq!(of(&Value::from((7_u32, "x", true))).to_string(), r#"[7,"x",true]"#);
        assert_eq!(of(&Value::from(vec![0xab_u8; 16])), Json::from("ab".repeat(16)));
        assert_eq!(of(&Value::from(vec![1_u8, 2])).to_string(), "[1,2]");
        let table: HashMap<&str, Value<'_>> = [("key", Value::from(1_i32))].into();
        assert_eq!(of(&Value::from(table)).to_string(), r#"{"key":1}"#);
    }
}
