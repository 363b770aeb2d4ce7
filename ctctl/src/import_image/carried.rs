// SPDX-License-Identifier: MIT OR Apache-2.0
//! From an image's config to keys of a container's. Whatever has no key, or a value that a key cannot have, is said: in the
//! config that is written, and on the terminal. See the image-spec's config.md.

use std::collections::BTreeSet;

use ct_config::value::Signal;
use oci_spec::image::{Config, ImageConfiguration};
use serde_json::Value;

use crate::container_toml::ContainerToml;
use crate::error::Error;

/// Keys of the image's `config` that are looked at below.
const KNOWN: [&str; 9] =
    ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"];
/// What older images still have of the container that they were made in.
const OF_THE_BUILD: [&str; 12] = [
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "MacAddress",
    "NetworkDisabled",
    "ArgsEscaped",
];

/// Writes the keys; what was not carried over, one line each.
pub(super) fn write_to(
    toml: &mut ContainerToml,
    configuration: &ImageConfiguration,
    raw: &Value,
) -> Result<Vec<String>, Error> {
    let mut left_out = Vec::new();
    let config = configuration.config().clone().unwrap_or_default();
    let command: Vec<String> =
        [config.entrypoint(), config.cmd()].into_iter().flatten().flatten().cloned().collect();
    match command.first().map(String::as_str) {
        None => left_out.push("the image says no command: what runs is /sbin/init".to_owned()),
        Some("") => left_out.push("the image's command is empty: what runs is /sbin/init".to_owned()),
        Some(_) => toml.set_list(&["process", "command"], &command)?,
    }
    write_user(toml, &config)?;
    write_working_dir(toml, &config, &mut left_out)?;
    if let Some(signal) = config.stop_signal().as_deref().filter(|signal| !signal.is_empty()) {
        match Signal::parse(signal) {
            Ok(_) => toml.set(&["stop", "signal"], signal)?,
            Err(error) => left_out.push(format!("StopSignal: {error}")),
        }
    }
    write_env(toml, &config, &mut left_out)?;
    left_out.extend(without_keys(&config, raw));
    Ok(left_out)
}

/// `user`, `uid`, `user:group`, `uid:gid`
fn write_user(toml: &mut ContainerToml, config: &Config) -> Result<(), Error> {
    let text = config.user().as_deref().unwrap_or_default();
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    if !user.is_empty() {
        toml.set(&["process", "user"], user)?;
    }
    match group.filter(|group| !group.is_empty()) {
        Some(group) => toml.set(&["process", "group"], group),
        None => Ok(()),
    }
}

fn write_working_dir(
    toml: &mut ContainerToml,
    config: &Config,
    left_out: &mut Vec<String>,
) -> Result<(), Error> {
    match config.working_dir().as_deref().unwrap_or_default() {
        "" | "/" => {}
        path if !path.starts_with('/') || path.split('/').any(|part| part == "..") => {
            left_out.push(format!("WorkingDir: {path:?} is not an absolute path without \"..\""));
        }
        path => toml.set(&["process", "cwd"], path)?,
    }
    Ok(())
}

fn write_env(toml: &mut ContainerToml, config: &Config, left_out: &mut Vec<String>) -> Result<(), Error> {
    for variable in config.env().iter().flatten() {
        let unusable = |text: &str| text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        match variable.split_once('=') {
            Some((name, value))
                if !name.is_empty() && !unusable(value) && !name.chars().any(char::is_control) =>
            {
                toml.set(&["process", "env", name], value)?;
            }
            _ => left_out.push(format!("Env: {variable:?} is no variable that a config can have")),
        }
    }
    Ok(())
}

/// What an image may say and a container of ct does not have.
fn without_keys(config: &Config, raw: &Value) -> Vec<String> {
    let list = |items: &Option<Vec<String>>| {
        // Of a map: sorted, to be the same each time.
        let items: BTreeSet<&str> = items.iter().flatten().map(String::as_str).collect();
        items.into_iter().collect::<Vec<_>>().join(", ")
    };
    let mut left_out = Vec::new();
    if config.exposed_ports().as_ref().is_some_and(|ports| !ports.is_empty()) {
        left_out.push(format!("ExposedPorts: {} (see [network])", list(config.exposed_ports())));
    }
    if config.volumes().as_ref().is_some_and(|volumes| !volumes.is_empty()) {
        left_out.push(format!(
            "Volumes: {} (see [[mount]]; else they are part of what root.writable is about)",
            list(config.volumes())
        ));
    }
    if let Some(labels) = config.labels().as_ref().filter(|labels| !labels.is_empty()) {
        let mut names: Vec<&str> = labels.keys().map(String::as_str).collect();
        names.sort_unstable();
        left_out.push(format!("Labels: {}", names.join(", ")));
    }
    let members = raw.get("config").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in members {
        let is_empty = match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        if !is_empty && !KNOWN.contains(&name.as_str()) && !OF_THE_BUILD.contains(&name.as_str()) {
            left_out.push(format!("{name}: {}", shortened(&value.to_string())));
        }
    }
    left_out
}

/// One line of a message.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 200;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    fn carried(config: Value) -> (String, Vec<String>) {
        let raw = json!({
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": [] }
        });
        let configuration = ImageConfiguration::deserialize(&raw).unwrap();
        let mut toml = ContainerToml::default();
        let left_out = write_to(&mut toml, &configuration, &raw).unwrap();
        (toml.render(), left_out)
    }

    #[test]
    fn everything_has_a_key_or_is_said() {
        let (toml, left_out) = carried(json!({
            "User": "www-data:33", "Env": ["PATH=/bin", "A=b=c", "EMPTY=", "broken", "=x", "BELL=\u{7}"],
            "Entrypoint": ["/entry", "a b"], "Cmd": ["serve"], "WorkingDir": "/srv", "StopSignal": "SIGQUIT",
            "ExposedPorts": { "80/tcp": {}, "443/tcp": {} }, "Volumes": { "/data": {} },
            "Labels": { "b": "1", "a": "2" }, "Healthcheck": { "Test": ["CMD", "x"] }, "OnBuild": null, "Tty": true
        }));
        let want = "[process]\ncommand = [\"/entry\", \"a b\", \"serve\"]\nuser = \"www-data\"\ngroup = \"33\"\ncwd = \"/srv\"\n\n\
                    [process.env]\nPATH = \"/bin\"\nA = \"b=c\"\nEMPTY = \"\"\n\n[stop]\nsignal = \"SIGQUIT\"\n";
        assert_eq!(toml.trim_start(), want);
        assert_eq!(
            left_out,
            [
                "Env: \"broken\" is no variable that a config can have",
                "Env: \"=x\" is no variable that a config can have",
                "Env: \"BELL=\\u{7}\" is no variable that a config can have",
                "ExposedPorts: 443/tcp, 80/tcp (see [network])",
                "Volumes: /data (see [[mount]]; else they are part of what root.writable is about)",
                "Labels: a, b",
                "Healthcheck: {\"Test\":[\"CMD\",\"x\"]}",
            ]
        );
    }

    #[test]
    fn what_docker_writes_for_nothing_is_nothing() {
        let (toml, left_out) = carried(json!({
            "User": "", "Env": null, "Entrypoint": null, "Cmd": ["sh"], "WorkingDir": "", "Volumes": null,
            "ExposedPorts": null, "Labels": null, "OnBuild": null, "Hostname": "abc", "Tty": false
        }));
        assert_eq!(toml.trim_start(), "[process]\ncommand = [\"sh\"]\n");
        assert_eq!(left_out, [""; 0]);
    }

    #[test]
    fn values_that_no_key_can_have_are_said() {
        let (toml, left_out) = carried(json!({
            "User": ":5", "WorkingDir": "/a/../b", "StopSignal": "SIGNOTHING"
        }));
        assert_eq!(toml.trim_start(), "[process]\ngroup = \"5\"\n");
        assert_eq!(left_out.len(), 3, "{left_out:?}");
    }
}
