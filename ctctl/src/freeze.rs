// SPDX-License-Identifier: MIT OR Apache-2.0
//! `freeze` and `thaw`: every process of a container stands still, by the kernel's freezer; see systemctl(1).

use clap::Args;
use ct_config::name::ContainerName;
use ct_dbus::Systemd;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::jobs::told;
use crate::kill::unless_running;
use crate::names::resolve_all;

/// Let every process of containers stand still, and wait until they do
///
/// They keep their memory and their connections, and take no processor time. SIGKILL ends them all the same.
#[derive(Debug, Args)]
pub struct FreezeArguments {
    /// Names of containers, or beginnings that are unique
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Let frozen containers go on
#[derive(Debug, Args)]
pub struct ThawArguments {
    /// Names of containers, or beginnings that are unique
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// `ctctl freeze`
pub fn freeze(arguments: &FreezeArguments, context: &Context) -> Result<Status, Error> {
    each(&arguments.names, context, Systemd::freeze)
}

/// `ctctl thaw`
pub fn thaw(arguments: &ThawArguments, context: &Context) -> Result<Status, Error> {
    each(&arguments.names, context, Systemd::thaw)
}

fn each(
    names: &[String],
    context: &Context,
    call: fn(&Systemd, &str) -> Result<(), ct_dbus::Error>,
) -> Result<Status, Error> {
    let names = resolve_all(names, context)?;
    let systemd = context.systemd()?;
    let call = |name: &ContainerName| {
        call(systemd, name.unit().as_str()).map_err(|error| unless_running(error, name, systemd))
    };
    Ok(names.iter().map(|name| told(call(name))).fold(Status::Done, Status::and))
}
