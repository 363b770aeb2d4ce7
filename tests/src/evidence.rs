// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a failed test leaves to be read, in `target/ct-tests/NAME/`.

use std::fs;
use std::path::Path;

use crate::Output;

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

/// Keeps what these scripts print. Never panics: it runs while a test does.
pub(crate) fn save(name: &str, dir: &Path, run: impl Fn(&str) -> Result<Output, String>) {
    for (file, script) in FILES {
        let text = match run(script) {
            Ok(output) => output.stdout + &output.stderr,
            Err(error) => error,
        };
        if let Err(error) = fs::write(dir.join(file), text) {
            eprintln!("cannot keep the {file} of {name}: {error}");
        }
    }
    eprintln!("journal, state, generated units and console of {name}: {}", dir.display());
}
