// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl edit`: what is wrong does not take the place of what was right, and no text is lost.

use ct_tests::{Machine, on_every_machine};

const WEB: &str = "/etc/ct/containers/web.toml";
const DRAFT: &str = "/etc/ct/containers/.web.edit.toml";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    machine.container("web", "description = \"one\"\nroot.path = \"/srv/rootfs\"\n");
    machine.daemon_reload();
}

/// `ctctl edit web` with this shell script as the editor; `$1` is the file.
fn edit(machine: &Machine, script: &str, options: &str) -> ct_tests::Output {
    machine.write_file("/usr/bin/my-editor", 0o755, format!("#!/bin/sh\n{script}\n"));
    machine.shell(&format!("EDITOR='my-editor --wait' ctctl edit {options} web </dev/null"))
}

on_every_machine! {
    fn what_is_right_is_put_in_place_and_loaded(machine: &Machine) {
        prepare(machine);
        machine.shell(&format!("chmod 600 {WEB}")).succeeds();
        // The last argument is the file; those of $EDITOR come before.
        edit(machine, r#"[ "$1" = --wait ] && sed -i s/one/two/ "$2""#, "").succeeds();
        assert_eq!(machine.show("ct@web", "Description"), "two");
        assert_eq!(machine.shell(&format!("stat -c %a {WEB}")).stdout, "600\n");
        machine.shell(&format!("test ! -e {DRAFT}")).succeeds();
        let same = edit(machine, "true", "").succeeds().stderr;
        assert_eq!(same, format!("ctctl: {WEB} is as it was\n"));
        edit(machine, r#"sed -i s/two/three/ "$2""#, "--no-reload").succeeds();
        assert_eq!(machine.show("ct@web", "Description"), "two");
        machine.shell("sed s/three/four/ /etc/ct/containers/web.toml | ctctl edit --stdin web").succeeds();
        assert_eq!(machine.show("ct@web", "Description"), "four");
    }

    fn what_is_wrong_stays_beside_it(machine: &Machine) {
        prepare(machine);
        let before = machine.read_file(WEB);
        let refused = edit(machine, r#"echo 'memroy = 1' >>"$2""#, "").exits(1).stderr;
        assert!(refused.contains(&format!("{WEB}:3:1: ")), "{refused}");
        assert!(refused.contains(&format!("(your text is in {DRAFT})")), "{refused}");
        assert_eq!(machine.read_file(WEB), before);
        assert!(machine.read_file(DRAFT).contains("memroy"));
        // A reload does not take it for a container.
        machine.daemon_reload();
        assert_eq!(machine.shell("systemctl list-units --all 'ct@*edit*' --no-legend").stdout, "");
        // The next edit goes on with it.
        let again = edit(machine, r#"sed -i 's/memroy.*/hostname = "h"/' "$2""#, "").succeeds().stderr;
        assert!(again.contains("going on with"), "{again}");
        assert_eq!(machine.read_file(WEB), format!("{before}hostname = \"h\"\n"));
        machine.shell(&format!("test ! -e {DRAFT}")).succeeds();
        let refused = machine.shell("echo 'memroy = 1' | ctctl edit --stdin web").exits(1).stderr;
        assert!(refused.contains(&format!("{WEB}:1:1: ")), "{refused}");
    }

    fn nothing_of_two_writers_is_lost(machine: &Machine) {
        prepare(machine);
        let quicker = edit(machine, &format!(r#"sed -i s/one/mine/ "$2"; sed -i s/one/theirs/ {WEB}"#), "").exits(1).stderr;
        assert!(quicker.contains("was changed meanwhile"), "{quicker}");
        assert!(machine.read_file(WEB).contains("theirs"));
        assert!(machine.read_file(DRAFT).contains("mine"));
        // Not later either, when the draft is gone on with.
        let later = edit(machine, r#"sed -i s/mine/more/ "$2""#, "").exits(1).stderr;
        assert!(later.contains("was changed since that was begun"), "{later}");
        assert!(machine.read_file(WEB).contains("theirs"));
        machine.shell(&format!("rm {DRAFT}")).succeeds();
        // Two at once; and Ctrl-C is the editor's.
        let second = edit(machine, r#"kill -INT $(ps -o ppid= $PPID); EDITOR=true ctctl edit web 2>/second; sed -i s/theirs/first/ "$2""#, "");
        second.succeeds();
        assert!(machine.read_file("/second").contains("is being edited by another ctctl"));
        machine.shell(&format!("sed -i s/first/theirs/ {WEB}; ls -A /etc/ct/containers >/left")).succeeds();
        assert_eq!(machine.read_file("/left"), "web.toml\n");
        // An editor that fails, that is killed with ctctl, that is none.
        let failed = edit(machine, r#"sed -i s/theirs/mine/ "$2"; exit 3"#, "").exits(1).stderr;
        assert!(failed.contains("the editor failed") && failed.contains(DRAFT), "{failed}");
        machine.shell(&format!("rm {DRAFT}")).succeeds();
        edit(machine, r#"sed -i s/theirs/mine/ "$2"; kill -9 $(ps -o ppid= $PPID)"#, "").fails();
        assert!(machine.read_file(DRAFT).contains("mine"));
        assert!(machine.read_file(WEB).contains("theirs"));
        machine.shell(&format!("rm {DRAFT}")).succeeds();
        let none = machine.shell("EDITOR=no-such-editor ctctl edit web").exits(1).stderr;
        assert!(none.contains("there is no editor: no-such-editor"), "{none}");
        machine.shell(&format!("test ! -e {DRAFT}")).succeeds();
    }

    fn the_systems_own_is_copied_and_a_missing_one_is_none(machine: &Machine) {
        prepare(machine);
        machine.shell("mkdir -p /usr/lib/ct/containers && mv /etc/ct/containers/web.toml /usr/lib/ct/containers/").succeeds();
        edit(machine, r#"sed -i s/one/two/ "$2""#, "").succeeds();
        assert!(machine.read_file(WEB).contains("two"));
        assert!(machine.read_file("/usr/lib/ct/containers/web.toml").contains("one"));
        machine.shell("EDITOR=true ctctl edit nobody").exits(4);
        let remote = machine.shell("ctctl -H other edit web").exits(2).stderr;
        assert!(remote.contains("ssh other ctctl edit"), "{remote}");
        machine.shell("printf '= \\377' > /etc/ct/containers/broken.toml").succeeds();
        machine.shell("printf 'root.path = \"/srv/rootfs\"' | ctctl edit --stdin broken").succeeds();
        machine.shell("ctctl start broken; systemctl show -P LoadState ct@broken").succeeds();
    }
}
