// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names with rules: of containers and pods, and of units (systemd.unit(5)).

use std::fmt;

use serde::Serialize;

/// A container's name: `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}` without `..`, and not a reserved word.
///
/// It is safe as a path component, as a unit instance (`%i` needs no escaping) and as an OCI container id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ContainerName(String);

/// Why a text is not a [`ContainerName`] or a [`UnitName`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName(pub(crate) String);

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadName {}

impl ContainerName {
    /// The longest name, in bytes.
    pub const MAX: usize = 63;
    /// Names whose directories below /var/lib/ct/ or /run/ct/ mean something else.
    const RESERVED: [&str; 3] = ["containers", "layers", "pods"];

    /// Checks `text`; the error says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let reserved = Self::RESERVED
            .contains(&text)
            .then_some("it is reserved, ct keeps other things in directories of this name");
        match broken_rule(text).or(reserved) {
            Some(why) => Err(BadName(format!("{text:?} is not a container name: {why}"))),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `ct@NAME.service`
    pub fn unit(&self) -> UnitName {
        UnitName(["ct@", &self.0, ".service"].concat())
    }

    /// `ct-console@NAME.service`
    pub fn console_unit(&self) -> UnitName {
        UnitName(["ct-console@", &self.0, ".service"].concat())
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rule that a text breaks and that containers and pods have in common: they name files, and instances of units.
fn broken_rule(text: &str) -> Option<&'static str> {
    let too_long = (text.len() > ContainerName::MAX).then_some("it is longer than 63 characters");
    too_long.or_else(|| broken_character_rule(text))
}

fn broken_character_rule(text: &str) -> Option<&'static str> {
    let Some(first) = text.bytes().next() else { return Some("it is empty") };
    if !first.is_ascii_alphanumeric() {
        return Some("it must begin with a letter or a digit");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) {
        return Some("only letters, digits, \"_\", \".\" and \"-\" are allowed");
    }
    text.contains("..").then_some("it contains \"..\"")
}

/// Whether `text` is the name of a layer, a directory below /var/lib/ct/layers/: as a container's, but of up to 255
/// characters, for a layer of an image is named after its digest.
pub fn is_layer_name(text: &str) -> bool {
    text.len() <= 255 && broken_character_rule(text).is_none()
}

/// A pod's name: as a container's, and such that `ct-NAME.slice` is a slice. A dash in it is a level of the tree of
/// slices (systemd.slice(5)), so that the pod `shop-db` has its part of what the pod `shop` may use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName(String);

impl PodName {
    /// Checks `text`; the error says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let levels = (text.ends_with('-') || text.contains("--")).then_some(
            "between two dashes, and after the last, must be something: a dash is a level of slices",
        );
        match broken_rule(text).or(levels) {
            Some(why) => Err(BadName(format!("{text:?} is not a pod name: {why}"))),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `ct-pod@NAME.service`
    pub fn unit(&self) -> UnitName {
        UnitName(["ct-pod@", &self.0, ".service"].concat())
    }

    /// `ct-NAME.slice`
    pub fn slice(&self) -> UnitName {
        UnitName(["ct-", &self.0, ".slice"].concat())
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of something that has files of its own, and where they are.
pub trait ConfigName: Clone + Ord + fmt::Debug + fmt::Display {
    /// Where they are; the first wins.
    const DIRS: [&'static str; 3];

    /// Checks `text`; the error says which rule it breaks.
    fn check(text: &str) -> Result<Self, BadName>;

    /// The name as text.
    fn text(&self) -> &str;
}

impl ConfigName for ContainerName {
    const DIRS: [&'static str; 3] = ["/etc/ct/containers", "/run/ct/containers", "/usr/lib/ct/containers"];

    fn check(text: &str) -> Result<Self, BadName> {
        Self::parse(text)
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

impl ConfigName for PodName {
    const DIRS: [&'static str; 3] = ["/etc/ct/pods", "/run/ct/pods", "/usr/lib/ct/pods"];

    fn check(text: &str) -> Result<Self, BadName> {
        Self::parse(text)
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

/// A full unit name, `web.slice`, `network-online.target`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct UnitName(String);

impl UnitName {
    /// The unit types of systemd.unit(5).
    const TYPES: [&str; 11] = [
        "service",
        "socket",
        "target",
        "device",
        "mount",
        "automount",
        "timer",
        "swap",
        "path",
        "slice",
        "scope",
    ];

    /// Checks `text` as systemd's `unit_name_is_valid()` does: at most 255 bytes of letters, digits and `:-_.\@`,
    /// with a known type suffix and a non-empty prefix.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let bad = |why: &str| Err(BadName(format!("{:?} is not a unit name: {why}", text)));
        if text.len() > 255 {
            return bad("it is longer than 255 characters");
        }
        let Some((prefix, kind)) = text.rsplit_once('.') else {
            return bad("it has no type such as .service");
        };
        if !Self::TYPES.contains(&kind) {
            return bad("it does not end in a unit type such as .service");
        }
        if prefix.is_empty() || prefix.starts_with('@') {
            return bad("nothing stands before the type");
        }
        if !prefix
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_' | b'.' | b'\\' | b'@'))
        {
            return bad("only letters, digits and \":-_.\\@\" are allowed");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The container behind `ct@NAME.service`, if it is one.
    pub fn container(&self) -> Option<ContainerName> {
        ContainerName::parse(self.0.strip_prefix("ct@")?.strip_suffix(".service")?).ok()
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
