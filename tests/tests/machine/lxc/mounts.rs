// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mounts of a container of LXC's: are their options more than words?

use ct_tests::{Machine, on_every_machine};

use super::{IDLE, account, container, prepare};

on_every_machine! {
    /// LXC makes a bind mount without them, and then looks whether a second mount is worth its while.
    fn what_a_bind_mount_shall_not_allow_it_does_not(machine: &Machine) {
        prepare(machine);
        account(machine);
        machine.shell("mkdir -p /srv/data /srv/more && touch /srv/more/file").succeeds();
        let mount = |source: &str, target: &str, options: &str| {
            format!("[[mount]]\nsource = \"{source}\"\ntarget = \"{target}\"\noptions = [{options}]\n")
        };
        let mounts = [
            mount("/srv/data", "/a", "\"nosuid\", \"nodev\", \"noexec\""),
            mount("/srv/data", "/b", "\"bind\", \"noexec\""),
            mount("/srv/more/file", "/c", "\"nosuid\""),
            mount("/srv/data", "/d", "\"ro\", \"nodev\""),
            mount("/srv/data", "/e", ""),
        ];
        for user in ["", "user = \"ct-web\""] {
            machine.container("web", &format!("{}{}", container(IDLE, user), mounts.concat()));
            machine.daemon_reload();
            machine.start("ct@web");
            let table = machine.run(["ctctl", "exec", "web", "--", "cat", "/proc/mounts"]).succeeds().stdout;
            let options = |target: &str| -> Vec<String> {
                let of = |line: &str| line.split(' ').nth(1) == Some(target);
                let line = table.lines().find(|line| of(line)).unwrap_or_else(|| panic!("{target}\n{table}"));
                line.split(' ').nth(3).into_iter().flat_map(|options| options.split(',')).map(str::to_owned).collect()
            };
            for (target, wanted) in [
                ("/a", ["nosuid", "nodev", "noexec", "rw"].as_slice()),
                ("/b", &["noexec", "rw"]),
                ("/c", &["nosuid", "rw"]),
                ("/d", &["nodev", "ro"]),
                ("/e", &["rw"]),
            ] {
                let has = options(target);
                assert!(wanted.iter().all(|one| has.iter().any(|had| had == one)), "{user}: {target}: {has:?}");
            }
            assert!(!options("/e").contains(&"noexec".to_owned()), "{user}: {table}");
            machine.stop("ct@web");
        }
    }
}
