// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ct-generator`: run by systemd at boot and at each daemon-reload, see ct-generator(8) and [`ct_generator`].

use std::io::Write as _;
use std::path::Path;
use std::process::exit;

use ct_generator::arguments::{Arguments, USAGE};
use ct_generator::{generate, kmsg};
use nix::sys::stat::{Mode, umask};

/// PID 1 waits for its generators, up to 90 s: an end by SIGALRM is noticed and leaves no half file behind.
const DEADLINE_SECONDS: u32 = 5;

fn main() {
    nix::unistd::alarm::set(DEADLINE_SECONDS);
    umask(Mode::from_bits_truncate(0o022));
    let status = match Arguments::parse(std::env::args_os().skip(1), |name| std::env::var_os(name)) {
        Ok(Arguments::Help) => print(USAGE),
        Ok(Arguments::Version) => print(concat!("ct-generator ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Arguments::NotForUs) => 0,
        Ok(Arguments::Generate { root, normal, by_systemd, cpus }) => {
            let report = generate(&root, &normal, cpus);
            kmsg::write(by_systemd.then_some(Path::new("/dev/kmsg")), &report.lines());
            i32::from(report.is_bad())
        }
        Err(error) => {
            kmsg::write_stderr(&[format!("ct-generator: {error}")]);
            let _ = std::io::stderr().write_all(USAGE.as_bytes());
            2
        }
    };
    // Straight out: there is nothing to tidy up.
    exit(status);
}

fn print(text: &str) -> i32 {
    i32::from(std::io::stdout().write_all(text.as_bytes()).is_err())
}
