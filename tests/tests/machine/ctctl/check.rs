// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl check` and `render` beside what systemd's own generators directory holds.

use ct_tests::{Machine, on_every_machine};

on_every_machine! {
    fn render_is_what_the_reload_wrote(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let root = "[root]\npath = \"/srv/rootfs\"\n";
        machine.container("web", &format!("{root}[autostart]\nenabled = true\ndelay = \"1s\"\n[depends]\nrequires = [\"db\"]\n"));
        machine.container("db", &format!("{root}[limits]\nnofile = 512\n"));
        machine.container("bad", "x = 1\n");
        machine.daemon_reload();
        for name in ["web", "db", "bad"] {
            let rendered = machine.run(["ctctl", "render", name]);
            assert_eq!(rendered.status.success(), name != "bad", "{rendered}");
            let shown = machine.shell(&format!(
                "cd /run/systemd/generator && for file in ct@{name}.service.d/50-ct.conf ct-delay@{name}.service.d/50-ct.conf; do
                    [ ! -e $file ] || {{ echo \"# $PWD/$file\"; cat $file; echo; }}
                done
                for link in ct.target.wants/ct@{name}.service; do
                    [ ! -L $link ] || echo \"# $PWD/$link -> $(readlink $link)\"
                done"
            )).succeeds().stdout;
            assert_eq!(rendered.stdout, shown, "{name}");
        }
        let checked = machine.run(["ctctl", "check"]);
        assert_eq!(checked.status.code(), Some(1));
        assert_eq!(checked.stdout.lines().next(), Some("/etc/ct/containers/bad.toml:1:1: unknown key `x`"));
        machine.shell("rm /etc/ct/containers/bad.toml").succeeds();
        machine.run(["ctctl", "check"]).succeeds();
        // Somebody who is not root can check a file of their own.
        machine.shell("mkdir -p /tmp/mine && printf '[root]\\npth = 1\\n' >/tmp/mine/new.toml && chown -R 1234 /tmp/mine").succeeds();
        let own = machine.run(["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "ctctl", "check", "/tmp/mine/new.toml"]);
        assert_eq!(own.status.code(), Some(1), "{own}");
        assert!(own.stdout.starts_with("/tmp/mine/new.toml:2:1: root: unknown key `pth` (did you mean `path`?)"), "{own}");
    }
}
