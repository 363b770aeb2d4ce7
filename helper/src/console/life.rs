// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the service is told of one life of its container. It is kept as JSON, so that a service of the version before or
//! after can read it: fields are added, and none gets another meaning.

use serde::{Deserialize, Serialize};

/// One life, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// [`VERSION`] of the one who wrote this.
    pub(crate) version: u16,
    /// A number that no other life of the container has.
    pub(crate) generation: u64,
    /// The `INVOCATION_ID` of its unit.
    pub(crate) invocation: String,
    /// The pid of its first process.
    pub(crate) init: i32,
    /// Whether the journal gets what is printed.
    #[serde(default = "yes")]
    pub(crate) is_logged: bool,
}

/// Before there was a choice.
fn yes() -> bool {
    true
}

/// What this program writes.
pub(crate) const VERSION: u16 = 1;

/// What each of the descriptors is that are handed over. Those that the service does not know it closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// The socket that clients connect to.
    Listener,
    /// A pidfd of init.
    Init,
    /// The master of the container's terminal.
    Terminal,
    /// The end of a pipe where that comes out which it prints.
    Output,
    /// The end of a pipe where that goes in which it reads.
    Input,
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

impl Life {
    /// The life of a unit's invocation, whose id is as good as a number drawn for it.
    pub(crate) fn of(invocation: &str, init: i32) -> Self {
        let digits: String = invocation.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        let generation = u64::from_str_radix(&digits, 16).unwrap_or(0);
        Self { version: VERSION, generation, invocation: invocation.to_owned(), init, is_logged: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_later_version_is_understood() {
        let text = r#"{"version":9,"generation":7,"invocation":"x","init":5,"colour":"blue"}"#;
        let life: Life = serde_json::from_str(text).unwrap();
        assert_eq!((life.version, life.generation, life.init), (9, 7, 5));
        let roles: Vec<Role> = serde_json::from_str(r#"["listener","smoke_signal"]"#).unwrap();
        assert_eq!(roles, [Role::Listener, Role::Unknown]);
    }

    #[test]
    fn each_invocation_has_its_number() {
        let life = Life::of("0123456789abcdef0123456789abcdef", 1);
        assert_eq!(life.generation, 0x0123_4567_89ab_cdef);
        assert_ne!(life.generation, Life::of("0123456789abcdee0123456789abcdef", 1).generation);
    }
}
