// SPDX-License-Identifier: MIT OR Apache-2.0
//! `enable` and `disable`: the links of systemctl(1), by which boot starts a container whose config does not say so.

use clap::Args;
use ct_config::name::ContainerName;
use ct_dbus::job::Verb;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Status;
use crate::jobs::{run_all, told};
use crate::names::resolve_all;

/// Have boot start containers
///
/// The same as `systemctl enable ct@NAME`: a link in /etc, whatever `autostart.enabled` in the config says.
#[derive(Debug, Args)]
pub struct EnableArguments {
    /// Names of containers, or beginnings that are unique
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Start them, too, and wait until they are ready
    #[arg(long)]
    now: bool,
}

/// Take back what `enable` did
///
/// A container whose config has `autostart.enabled = true` is started by boot all the same.
#[derive(Debug, Args)]
pub struct DisableArguments {
    /// Names of containers, or beginnings that are unique
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Stop them, too, and wait until they have ended
    #[arg(long)]
    now: bool,
}

/// `ctctl enable`
pub fn enable(arguments: &EnableArguments, context: &Context) -> Result<Status, Error> {
    let names = resolve_all(&arguments.names, context)?;
    let systemd = context.systemd()?;
    let each = |name: &ContainerName| systemd.enable(name.unit().as_str()).map_err(Error::from);
    let status = names.iter().map(|name| told(each(name))).fold(Status::Done, Status::and);
    if arguments.now && status == Status::Done { run_all(Verb::Start, &names, context) } else { Ok(status) }
}

/// `ctctl disable`
pub fn disable(arguments: &DisableArguments, context: &Context) -> Result<Status, Error> {
    let names = resolve_all(&arguments.names, context)?;
    let systemd = context.systemd()?;
    let each = |name: &ContainerName| {
        systemd.disable(name.unit().as_str())?;
        // Of a link that the generator makes.
        if systemd.unit_file_state(name.unit().as_str())? == "enabled-runtime" {
            eprintln!("ctctl: boot still starts {name}: its config has autostart.enabled = true");
        }
        Ok(())
    };
    let status = names.iter().map(|name| told(each(name))).fold(Status::Done, Status::and);
    if arguments.now && status == Status::Done { run_all(Verb::Stop, &names, context) } else { Ok(status) }
}
