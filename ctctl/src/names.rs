// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which container a name means: the one of exactly this name, else the only one whose name begins so.

use std::collections::BTreeSet;

use ct_config::name::ContainerName;

use crate::context::Context;
use crate::error::Error;

/// Units that exist for containers, loaded by systemd.
pub const UNITS: &str = "ct@*.service";

/// The container that `given` means: `web`, the beginning of it, `ct@web` or `ct@web.service`.
pub fn resolve(given: &str, context: &Context) -> Result<ContainerName, Error> {
    let word = container_of(given).unwrap_or(given);
    if let Ok(name) = ContainerName::parse(word)
        && context.host().is_none()
        && context.tree().contains(&name)
    {
        return Ok(name);
    }
    let picked = pick(word, &known(context)?);
    // Where the configs are not ours to read, systemd knows of those that it has read, also of units that are not loaded.
    if let (Err(Error::NoSuchContainer { .. }), Ok(name)) = (&picked, ContainerName::parse(word))
        && let Ok(systemd) = context.systemd()
        && systemd.unit(name.unit().as_str()).is_ok_and(|unit| !unit.text("SourcePath").is_empty())
    {
        return Ok(name);
    }
    picked
}

/// As [`resolve`], among those that have a config here: systemd is not asked.
pub fn resolve_configured(given: &str, context: &Context) -> Result<ContainerName, Error> {
    pick(container_of(given).unwrap_or(given), &context.tree().names().cloned().collect())
}

/// As [`resolve`], for each, in the order in which they were given and each once.
pub fn resolve_all(given: &[String], context: &Context) -> Result<Vec<ContainerName>, Error> {
    let mut names: Vec<ContainerName> = Vec::with_capacity(given.len());
    for word in given {
        let name = resolve(word, context)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// All that have a config here, or a unit that systemd knows of.
pub fn known(context: &Context) -> Result<BTreeSet<ContainerName>, Error> {
    let mut names = BTreeSet::new();
    if context.host().is_none() {
        let tree = context.tree();
        names.extend(tree.names().chain(tree.masked()).cloned());
    }
    // Without systemd the configs are what there is; a verb that needs it will say that it is not there.
    if let Ok(systemd) = context.systemd() {
        let units = systemd.list(&[UNITS])?;
        // One that only another unit speaks of has nothing to it.
        let real = units.iter().filter(|unit| unit.load_state != "not-found");
        names.extend(real.filter_map(|unit| ContainerName::parse(container_of(&unit.name)?).ok()));
    } else if context.host().is_some() {
        context.systemd()?;
    }
    Ok(names)
}

/// `web` of `ct@web.service` and `ct@web`.
pub fn container_of(unit: &str) -> Option<&str> {
    let instance = unit.strip_prefix("ct@")?;
    Some(instance.strip_suffix(".service").unwrap_or(instance))
}

fn pick(word: &str, known: &BTreeSet<ContainerName>) -> Result<ContainerName, Error> {
    if let Some(exact) = known.iter().find(|name| name.as_str() == word) {
        return Ok(exact.clone());
    }
    // An empty beginning is everyone's.
    let begin: Vec<&ContainerName> =
        known.iter().filter(|name| !word.is_empty() && name.as_str().starts_with(word)).collect();
    match begin.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let hint = ct_config::suggest(word, known.iter().map(ContainerName::as_str));
            Err(Error::NoSuchContainer { name: word.to_owned(), hint: hint.map(str::to_owned) })
        }
        several => {
            let candidates = several.iter().map(ToString::to_string).collect();
            Err(Error::Ambiguous { name: word.to_owned(), candidates })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(word: &str) -> Result<String, String> {
        let known = ["db", "web", "web-2", "worker"].map(|name| ContainerName::parse(name).unwrap());
        pick(word, &known.into()).map(|name| name.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn exact_first_then_a_unique_beginning() {
        assert_eq!(picked("web").unwrap(), "web");
        assert_eq!(picked("web-").unwrap(), "web-2");
        assert_eq!(picked("d").unwrap(), "db");
        assert_eq!(picked("w").unwrap_err(), r#""w" may be any of: web, web-2, worker"#);
        assert_eq!(picked("wbe").unwrap_err(), r#"there is no container "wbe" (did you mean "web"?)"#);
        assert_eq!(picked("").unwrap_err(), r#"there is no container """#);
    }

    #[test]
    fn units_have_names_of_containers() {
        assert_eq!(container_of("ct@web.service"), Some("web"));
        assert_eq!(container_of("ct@web"), Some("web"));
        assert_eq!(container_of("web.service"), None);
    }
}
