// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a failed test leaves to be read, in `target/ct-tests/NAME/`.

use std::fs;
use std::time::Duration;

use crate::Machine;

/// File name, and the shell script whose output goes there.
const FILES: [(&str, &str); 3] = [
    ("journal", "journalctl --sync; journalctl -b -o short-precise"),
    (
        "state",
        "systemctl --failed; systemctl list-jobs; systemctl list-units --all 'ct*'; systemd-cgls --no-pager; ps axf; findmnt",
    ),
    (
        "generated",
        "cd /; for dir in run/systemd/generator* etc/ct run/ct; do [ -e $dir ] || continue; \
         find $dir -type l -printf '%p -> %l\\n'; find $dir -type f -exec tail -v -n +1 {} +; done",
    ),
];

/// Never panics: it runs while a test does.
pub(crate) fn save(machine: &Machine) {
    let dir = machine.results();
    for (name, script) in FILES {
        let text = match machine.command(["sh", "-c", script]).deadline(Duration::from_secs(10)).try_run() {
            Ok(output) => output.stdout + &output.stderr,
            Err(error) => error,
        };
        if let Err(error) = fs::write(dir.join(name), text) {
            eprintln!("cannot keep the {name} of {}: {error}", machine.name());
        }
    }
    eprintln!("journal, state, generated units and console of {}: {}", machine.name(), dir.display());
}
