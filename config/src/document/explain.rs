// SPDX-License-Identifier: MIT OR Apache-2.0
//! serde's errors in the words of a config file.

use super::{SourceMap, Span};
use crate::problem::Problem;
use crate::suggest;

/// Says what serde says in the words of a config file.
pub(super) fn explain(
    error: &toml::de::Error,
    span: &Span,
    path: &[String],
    map: &SourceMap<'_>,
    problems: &mut Vec<Problem>,
) {
    let mut report = |key: &str, reason: &str, hint| map.report(problems, span, key, reason, hint);
    let message = error.message();
    let (last, parents) = path.split_last().map_or(("", &[][..]), |(last, parents)| (last.as_str(), parents));
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let hint = suggest(last, backticked(rest.strip_prefix(&format!("`{last}`")).unwrap_or_default()));
        let hint = hint.map(|word| format!("did you mean `{word}`?"));
        return report(&parents.join("."), &format!("unknown key `{last}`"), hint);
    }
    let key = path.join(".");
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        let (word, rest) = rest.split_once("`, expected ").unwrap_or((rest, ""));
        let words: Vec<&str> = backticked(rest).collect();
        let hint = suggest(word, words.iter().copied()).map(|word| format!("did you mean {word:?}?"));
        let list = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        return report(&key, &format!("{word:?} is not one of {list}"), hint);
    }
    let wrong = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        Some((found, expected)) => {
            report(&key, &format!("must be {}, not {}", expected_word(expected), found_word(found)), None);
        }
        None if message == "wanted string or table" => report(&key, "must be a string", None),
        None => report(&key, message, None),
    }
}

/// The words between backticks.
fn backticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// serde's name of a type, in TOML's terms.
fn expected_word(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list",
        "a map" => "a table",
        "a boolean" => "true or false",
        "i64" => "a whole number",
        _ => expected,
    }
}

/// serde's name of a value, in TOML's terms.
fn found_word(found: &str) -> String {
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        _ => match found.split_once(' ') {
            Some(("boolean" | "integer", value)) => value.trim_matches('`').to_owned(),
            Some(("floating", value)) => value.trim_start_matches("point ").trim_matches('`').to_owned(),
            Some(("string", value)) => format!("the string {value}"),
            _ => found.to_owned(),
        },
    }
}
