// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which runtime a container has, and what of its config that runtime cannot do: said before anything is started, and
//! never just left out.

use std::path::PathBuf;

use super::Check;
use crate::container::{Lxcfs, Runtime, RuntimeFamily};
use crate::document::Span;
use crate::fragment::{Fragment, Text};
use crate::host::Host;
use crate::settings::is_system_init;
use crate::suggest;
use crate::value::Signal;

/// Runtimes by their own names.
const KNOWN: [&str; 5] = ["crun", "runc", "youki", "runsc", "lxc"];
/// What stays beside a container of LXC's: ct's own program around the library, see ct.toml(5).
const PROGRAM_OF_LXC: &str = "/usr/libexec/ct/ct-lxc";
/// Why LXC starts nothing of an account in the host's network, and what does.
pub(crate) const LXC_IN_HOST_NETWORK: &str = "through an account its command socket would be in the host's network, where root of any other container could use it";
pub(crate) const INSTEAD_OF_HOST_NETWORK: &str = "crun can, and so can lxc without `user`";
/// The highest signal that runsc passes on to the container.
const LAST_OF_RUNSC: i32 = 31;

/// What is named after crun, youki or runsc understands its command line, all others runc's.
fn family(program: &str) -> RuntimeFamily {
    match program {
        name if name.starts_with("crun") => RuntimeFamily::Crun,
        name if name.starts_with("youki") => RuntimeFamily::Youki,
        name if name.starts_with("runsc") => RuntimeFamily::Runsc,
        _ => RuntimeFamily::Runc,
    }
}

impl Check<'_> {
    pub(super) fn runtime(&mut self, text: Option<&Text>, host: &Host) -> Runtime {
        let name = text.map_or("crun", |text| text.get_ref().as_str());
        let mut runtime = Runtime {
            name: name.to_owned(),
            family: family(name),
            program: PathBuf::from(name),
            arguments: Vec::new(),
        };
        if let Some(known) = host.runtimes.get(name) {
            runtime.family = family(&known.path.file_name().unwrap_or_default().to_string_lossy());
            runtime.program.clone_from(&known.path);
            runtime.arguments.clone_from(&known.arguments);
            return runtime;
        }
        let Some(text) = text else { return runtime };
        if name.starts_with('/') {
            runtime.program = self.path(text, "runtime");
            runtime.family = family(&runtime.program.file_name().unwrap_or_default().to_string_lossy());
        } else if name == "lxc" {
            runtime.program = PathBuf::from(PROGRAM_OF_LXC);
            runtime.family = RuntimeFamily::Lxc;
        } else if !KNOWN.contains(&name) {
            let known = KNOWN.into_iter().chain(host.runtimes.keys().map(String::as_str));
            let hint = suggest(name, known).map(|word| format!("did you mean {word:?}?"));
            let reason = format!(
                "{name:?} is neither crun, runc, youki, runsc, lxc, one of [runtimes] in ct.toml, nor an absolute path"
            );
            self.hint(text, "runtime", &reason, hint);
        }
        runtime
    }

    /// Refuses what the runtime cannot do.
    pub(super) fn runtime_can(&mut self, fragment: &Fragment, runtime: &Runtime) {
        let refused = match runtime.family {
            RuntimeFamily::Crun | RuntimeFamily::Runc => Vec::new(),
            RuntimeFamily::Youki => refused_by_youki(fragment),
            RuntimeFamily::Runsc => refused_by_runsc(fragment),
            RuntimeFamily::Lxc => refused_by_lxc(fragment),
        };
        for Refused { span, key, reason, hint } in refused {
            let hint = hint.map(str::to_owned);
            self.at(&span, key, &format!("{} cannot: {reason}", runtime.name), hint);
        }
    }
}

/// Where, which key, why not, and what can be done instead.
struct Refused {
    span: Span,
    key: &'static str,
    reason: &'static str,
    hint: Option<&'static str>,
}

/// Where it names an account that is not root.
fn account(fragment: &Fragment) -> Option<Span> {
    let user = fragment.user.as_ref().filter(|user| !matches!(user.get_ref().0.as_str(), "root" | "0"));
    user.map(|user| user.span())
}

fn refused_by_youki(fragment: &Fragment) -> Vec<Refused> {
    let why = "without privileges it cannot write the id maps of a container";
    account(fragment).map(|span| Refused { span, key: "user", reason: why, hint: None }).into_iter().collect()
}

/// A bundle may say more in its config.json than LXC has words for. In the host's network its monitor has a socket with an
/// abstract name, which has no permissions: root starts it elsewhere and has the container join, which an account may not.
fn refused_by_lxc(fragment: &Fragment) -> Vec<Refused> {
    let bundle = fragment.root.as_ref().and_then(|root| root.bundle.as_ref()).map(|bundle| Refused {
        span: bundle.span(),
        key: "root.bundle",
        reason: "it is no OCI runtime and takes no bundle; root.path can name its root",
        hint: None,
    });
    // A member may be in the network of its pod: what that says is known where the two are brought together.
    let network = fragment.network.as_ref().filter(|_| account(fragment).is_some() && fragment.pod.is_none());
    let mode = network.and_then(|network| network.mode.as_ref()).filter(|mode| mode.get_ref() == "host");
    let network = mode.map(|mode| Refused {
        span: mode.span(),
        key: "network.mode",
        reason: LXC_IN_HOST_NETWORK,
        hint: Some(INSTEAD_OF_HOST_NETWORK),
    });
    bundle.into_iter().chain(network).collect()
}

/// gVisor's sandbox is a kernel of its own: what the host's kernel has, it has not.
fn refused_by_runsc(fragment: &Fragment) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut refuse = |span: Option<Span>, key, reason| {
        refused.extend(span.map(|span| Refused { span, key, reason, hint: None }));
    };
    let why = "only root may run it; its sandbox has no rights on the host anyhow";
    refuse(account(fragment), "user", why);
    let ids = fragment.idmap.as_ref().and_then(|idmap| idmap.uid.as_ref().or(idmap.gid.as_ref()));
    refuse(
        ids.map(|ids| ids.span()),
        "idmap",
        "its sandbox has one user namespace, with the ids of the host",
    );
    if let Some(root) = &fragment.root {
        let idmap = root.idmap.as_ref().filter(|idmap| *idmap.get_ref());
        refuse(idmap.map(|idmap| idmap.span()), "root.idmap", "its sandbox has the ids of the host");
        let lxcfs = root.lxcfs.as_ref().filter(|lxcfs| *lxcfs.get_ref() != Lxcfs::No);
        refuse(lxcfs.map(|lxcfs| lxcfs.span()), "root.lxcfs", "/proc is that of its own kernel");
    }
    let notify = fragment.ready.as_ref().and_then(|ready| ready.notify.as_ref());
    let notify = notify.filter(|notify| *notify.get_ref());
    refuse(
        notify.map(|notify| notify.span()),
        "ready.notify",
        "no socket of the host can be reached in its sandbox",
    );
    for device in fragment.security.iter().flat_map(|security| &security.devices).flatten() {
        refuse(Some(device.span()), "security.devices", "its sandbox has devices of its own");
    }
    for mount in fragment.mount.iter().flatten() {
        let kind = mount.get_ref().0.kind.as_ref();
        let kind = kind.filter(|kind| !matches!(kind.get_ref().as_str(), "bind" | "tmpfs"));
        refuse(kind.map(|kind| kind.span()), "mount.type", "its kernel mounts \"bind\" and \"tmpfs\" alone");
    }
    refuse_signals(fragment, &mut refuse);
    refused
}

/// What a sandbox would ignore.
fn refuse_signals(fragment: &Fragment, refuse: &mut impl FnMut(Option<Span>, &'static str, &'static str)) {
    let signal = fragment.stop.as_ref().and_then(|stop| stop.signal.as_ref());
    let is_unknown = Signal::parse(signal.map_or("TERM", |signal| signal.get_ref().0.as_str()))
        .is_ok_and(|signal| signal.0 > LAST_OF_RUNSC);
    let span = signal.filter(|_| is_unknown).map(|signal| signal.span());
    refuse(span, "stop.signal", "signals 1 to 31 alone reach what is in its sandbox");
    let command = fragment.process.as_ref().and_then(|process| process.command.as_ref());
    let has_root = fragment.root.as_ref().is_some_and(|root| root.bundle.is_none());
    if command.is_none() && signal.is_none() && has_root {
        let why = "its kernel runs no systemd, and /sbin/init, the default, mostly is one";
        refuse(fragment.runtime.as_ref().map(|runtime| runtime.span()), "process.command", why);
    }
    let Some(list) = command.filter(|_| signal.is_none()) else { return };
    let words: Vec<String> = list.get_ref().iter().map(|word| word.get_ref().clone()).collect();
    if is_system_init(&words) {
        refuse(Some(list.span()), "process.command", "systemd does not run on its kernel");
    }
}
