// SPDX-License-Identifier: MIT OR Apache-2.0
//! A real systemd to test with, and the words to say what it should do.
//!
//! A [`Machine`] is systemd as PID 1 of its own namespaces, over a throw-away overlay of a [`Root`]: the host's
//! own `/` or a Debian 13, booted in half a second with the programs that `make build` left. It ends when it is
//! dropped, or with the test's process. Machines run side by side.
//!
//! ```no_run
//! ct_tests::on_every_machine! {
//!     fn exit_status_is_the_units(machine: &Machine) {
//!         machine.busybox_rootfs("/srv/web/rootfs");
//!         machine.container("web", r#"
//!             root.path = "/srv/web/rootfs"
//!             process.command = ["sh", "-c", "exit 7"]
//!         "#);
//!         machine.daemon_reload();
//!         machine.start("ct@web");
//!         machine.wait_for("ct@web", "ActiveState", "failed");
//!         assert_eq!(machine.show("ct@web", "ExecMainStatus"), "7");
//!     }
//! }
//! ```
//!
//! Two forms more: `fn name(root: Root)` boots for itself (with files already there, by [`Machine::prepare`]),
//! and a plain `#[test]` may call [`Machine::boot`] where one root is enough.
//!
//! A [`VirtualMachine`] is slower by far, and has what namespaces lack: all controllers of cgroup v2 and every
//! capability. One boot serves all the tests of `tests/tests/virtual_machine/`; see [`on_the_virtual_machine!`].
//!
//! When a test fails, journal, generated units and console of its machine are in `target/ct-tests/NAME/`.

mod command;
mod console;
mod evidence;
mod inside;
mod leaks;
mod machine;
mod preparation;
mod root;
mod seed;
mod skip;
pub mod sweep;
mod systemctl;
mod terminal;
mod tracer;
mod virtual_machine;

pub use command::{Command, Output, Running};
pub use console::{ConsoleClient, Heard};
pub use inside::Inside;
pub use leaks::Snapshot;
pub use machine::Machine;
pub use preparation::Preparation;
pub use root::{Root, System};
pub use skip::{test_name, unless_skipped};
pub use terminal::Terminal;
pub use tracer::{Fault, Point, Trace};
pub use virtual_machine::{VirtualMachine, on_virtual_machine};

/// Makes one test for each [`Root`] of one body: `NAME::host` and `NAME::debian13`.
///
/// What a machine needs and this computer lacks makes the test fail in CI (`CI` is set), and is a counted SKIP elsewhere.
#[macro_export]
macro_rules! on_every_machine {
    ($($(#[doc = $doc:literal])* fn $name:ident($machine:ident: &$Machine:path) $body:block)+) => {
        $($crate::on_every_machine! {
            $(#[doc = $doc])*
            fn $name(root: $crate::Root) {
                fn body($machine: &$Machine) $body
                body(&$crate::Machine::boot_from(root, &$crate::test_name()));
            }
        })+
    };
    ($($(#[doc = $doc:literal])* fn $name:ident($root:ident: $Root:path) $body:block)+) => {
        $(
            $(#[doc = $doc])*
            #[cfg(test)] // what clippy.toml allows in tests is allowed in bodies
            mod $name {
                #[allow(unused_imports, reason = "a body may need nothing of its file")]
                use super::*;

                fn body($root: $Root) $body

                #[test]
                fn host() {
                    $crate::unless_skipped($crate::Root::Host, body);
                }

                #[test]
                fn debian13() {
                    $crate::unless_skipped($crate::Root::Debian13, body);
                }
            }
        )+
    };
}

/// Makes one test of each body, all on the same virtual machine, one after the other.
///
/// To add one, write it into a file of `tests/tests/virtual_machine/`, or into a new one that `main.rs` there names:
///
/// ```no_run
/// ct_tests::on_the_virtual_machine! {
///     fn the_score_may_be_negative(machine: &VirtualMachine) {
///         machine.container("web", "root.path = \"/srv/rootfs\"\noom.score_adjust = -500\n");
///         machine.daemon_reload();
///         machine.start("ct@web");
///         let pid = machine.main_pid("ct@web");
///         assert_eq!(machine.read_file(format!("/proc/{pid}/oom_score_adj")), "-500\n");
///     }
/// }
/// ```
///
/// That is a Debian 13. On a Debian 12 with CRIU are those that begin with `in System::Debian12;`.
///
/// The words are those of every machine ([`Inside`]); `/srv/rootfs` is a busybox root, and `ct-web` an account with
/// subordinate ids. After each test all containers are stopped, and what they leave fails it; all else that a test
/// changes, the next one finds. A command costs a third of a second: prefer a script to several. A package that a
/// test needs goes into `PACKAGES` of `tests/src/virtual_machine/image.rs`. What the machine needs and this computer
/// lacks fails in CI (`CI` is set), and is a counted SKIP elsewhere.
#[macro_export]
macro_rules! on_the_virtual_machine {
    (in $system:path; $($(#[doc = $doc:literal])* fn $name:ident($machine:ident: &$VirtualMachine:path) $body:block)+) => {
        $(
            $(#[doc = $doc])*
            #[test]
            fn $name() {
                fn body($machine: &$VirtualMachine) $body
                $crate::on_virtual_machine($system, body);
            }
        )+
    };
    (fn $($rest:tt)+) => {
        $crate::on_the_virtual_machine! { in $crate::System::Debian13; fn $($rest)+ }
    };
    (#[doc = $doc:literal] $($rest:tt)+) => {
        $crate::on_the_virtual_machine! { in $crate::System::Debian13; #[doc = $doc] $($rest)+ }
    };
}
