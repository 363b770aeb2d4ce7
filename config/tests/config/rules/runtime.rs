// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which runtimes there are, and what they cannot do.

use std::path::Path;

use crate::fake_root::{FakeRoot, MINIMAL};
use ct_config::container::RuntimeFamily;

#[test]
fn what_a_runtime_cannot_do_is_refused() {
    let root = FakeRoot::new("runtime-cannot");
    let command = "root = { path = \"/a\" }\nprocess.command = [\"sleep\", \"9\"]\n";
    let cases = [
        ("runsc", "", vec![]),
        ("runsc", "user = \"web\"", vec!["user"]),
        ("runsc", "user = \"root\"", vec![]),
        ("runsc", "[stop]\nsignal = \"SIGUSR1\"", vec![]),
        ("runsc", "[stop]\nsignal = 37", vec!["stop.signal"]),
        ("runsc", "[[mount]]\ntarget = \"/t\"\ntype = \"tmpfs\"", vec![]),
        (
            "runsc",
            "[security]\ndevices = [\"/dev/fuse\"]\n[ready]\nnotify = true",
            vec!["ready.notify", "security.devices"],
        ),
        ("youki", "user = \"web\"", vec!["user"]),
        ("youki", "[security]\ndevices = [\"/dev/fuse\"]", vec![]),
        ("runc", "user = \"web\"", vec![]),
    ];
    for (runtime, more, keys) in cases {
        let problems =
            root.only(&format!("runtime = \"{runtime}\"\n{command}{more}\n")).err().unwrap_or_default();
        let mut found: Vec<&str> = problems.iter().filter_map(|line| line.split(": ").nth(1)).collect();
        found.sort_unstable();
        assert_eq!(found, keys, "{runtime} {more}: {problems:?}");
        assert!(problems.iter().all(|line| line.contains(&format!("{runtime} cannot: "))), "{problems:?}");
    }
}

#[test]
fn lxc_is_a_runtime_and_takes_no_bundle() {
    let root = FakeRoot::new("lxc");
    let runtime = root.only(&format!("runtime = \"lxc\"\n{MINIMAL}")).unwrap().runtime;
    assert_eq!((runtime.name.as_str(), runtime.family), ("lxc", RuntimeFamily::Lxc));
    assert_eq!(runtime.program, Path::new("/usr/libexec/ct/ct-lxc"));
    let said = root.only("runtime = \"lxc\"\n[root]\nbundle = \"/srv/web\"\n").unwrap_err();
    assert!(
        said.iter().any(|line| line.contains("root.bundle: lxc cannot: it is no OCI runtime")),
        "{said:?}"
    );
}
