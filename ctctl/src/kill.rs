// SPDX-License-Identifier: MIT OR Apache-2.0
//! `kill`: a signal, sent by systemd to a container's init or to all of its processes.

use clap::Args;
use ct_config::name::ContainerName;
use ct_config::value::Signal;
use ct_dbus::Systemd;
use ct_dbus::unit::Whom;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::jobs::told;
use crate::names::resolve_all;

/// Send a signal to the init of containers
///
/// systemd sends it. What the container does then is its own affair: one that ends is restarted if its config says so,
/// which `ctctl stop` prevents. An init without a handler for the signal ignores all but SIGKILL and SIGSTOP.
#[derive(Debug, Args)]
pub struct KillArguments {
    /// Names of containers, or beginnings that are unique
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// SIGQUIT, HUP, SIGRTMIN+3, 9
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGTERM", value_parser = parse_signal)]
    signal: Signal,
    /// To every process of the containers, not their init alone
    #[arg(long)]
    all: bool,
}

fn parse_signal(text: &str) -> Result<Signal, String> {
    Signal::parse(&text.to_ascii_uppercase()).map_err(|error| error.to_string())
}

/// `ctctl kill`
pub fn kill(arguments: &KillArguments, context: &Context) -> Result<Status, Error> {
    let names = resolve_all(&arguments.names, context)?;
    let systemd = context.systemd()?;
    let whom = if arguments.all { Whom::All } else { Whom::Main };
    let send = |name: &ContainerName| {
        let sent = systemd.kill(name.unit().as_str(), whom, arguments.signal.0);
        sent.map_err(|error| unless_running(error, name, systemd))
    };
    Ok(names.iter().map(|name| told(send(name))).fold(Status::Done, Status::and))
}

/// What systemd refused, in its words; of a container that does not run, in ours.
pub(crate) fn unless_running(error: ct_dbus::Error, name: &ContainerName, systemd: &Systemd) -> Error {
    let is_asked_and_told =
        matches!(error, ct_dbus::Error::Refused { .. } | ct_dbus::Error::NoSuchUnit { .. });
    let is_down = || {
        let unit = systemd.unit(name.unit().as_str()).unwrap_or_default();
        ["inactive", "failed"].contains(&unit.text("ActiveState"))
    };
    if is_asked_and_told && is_down() {
        return Error::Failed { reason: format!("{name} is not running"), status: Status::NotRunning };
    }
    error.into()
}
