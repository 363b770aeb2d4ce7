// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl import-image`: images that this test makes, in every form that skopeo writes, unpacked, shared, and really
//! started; what is damaged, killed or too large leaves nothing that could be taken for a layer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod making;

use std::time::Duration;

use ct_tests::{Machine, Root, on_every_machine, test_name, unless_skipped};
use making::{CAPABILITY, LAYERS, make_image};

/// The names in /var/lib/ct/layers, hidden ones too.
fn layers(machine: &Machine) -> Vec<String> {
    machine.shell("ls -A /var/lib/ct/layers 2>/dev/null").stdout.lines().map(str::to_owned).collect()
}

/// An extended attribute of the file that the last layer has.
fn attribute(machine: &Machine, file: &str, name: &str) -> Vec<u8> {
    let path = machine.shell(&format!("echo /var/lib/ct/layers/*/{file}")).succeeds().stdout;
    let path = format!("/proc/{}/root{}", machine.pid(), path.trim());
    let mut value = [0; 64];
    match rustix::fs::lgetxattr(&path, name, &mut value[..]) {
        Ok(count) => value[..count].to_vec(),
        Err(error) => panic!("{path}: {name}: {error}"),
    }
}

fn configs(machine: &Machine) -> String {
    machine.shell("ls -A /etc/ct/containers 2>/dev/null").stdout
}

/// What the container says of itself, line by line.
const WITNESS: [&str; 8] = [
    "hidden file: gone",
    "opaque directory: new",
    "replaced directory: only",
    "user: 33:33",
    "cwd: /srv/work",
    "variable: a b",
    "arguments: from-cmd",
    "modes: 4755 2 0:0 640 1000:1001",
];

/// Calls of an import, and which of them it is killed at.
const KILLED_AT: [(&str, u32); 14] = [
    ("mkdir", 3),
    ("mkdir", 5),
    ("openat2", 3),
    ("openat2", 12),
    ("linkat", 4),
    ("mknodat", 2),
    ("fsetxattr", 1),
    ("lsetxattr", 2),
    ("syncfs", 1),
    ("syncfs", 3),
    ("renameat2", 1),
    ("renameat2", 2),
    ("renameat2", 3),
    ("renameat2", 4),
];

on_every_machine! {
    fn an_image_of_every_form_is_a_container(machine: &Machine) {
        make_image(machine);
        let forms = ["/srv/oci", "/srv/oci.tar", "/srv/docker", "/srv/docker.tar"];
        for (number, form) in forms.into_iter().enumerate() {
            let name = format!("web-{number}");
            let imported = machine.run(["ctctl", "import-image", form, "--name", &name]).succeeds();
            assert_eq!(imported.stdout, format!("/etc/ct/containers/{name}.toml\n"));
            assert!(imported.stderr.contains("not carried over: ExposedPorts: 80/tcp"), "{}", imported.stderr);
            assert!(!imported.stderr.contains("unpacking"), "no progress without a terminal: {}", imported.stderr);
            let toml = machine.read_file(format!("/etc/ct/containers/{name}.toml"));
            assert!(toml.contains("#   ExposedPorts: 80/tcp") && toml.contains("signal = \"SIGQUIT\""), "{toml}");
            assert_eq!(layers(machine).len(), LAYERS, "shared by all forms: {:?}", layers(machine));
            machine.start(&format!("ct@{name}"));
            let out = format!("/var/lib/ct/{name}/upper/out");
            machine.shell(&format!("until [ -e {out}/done ]; do sleep 0.1; done")).succeeds();
            let said = machine.read_file(format!("{out}/witness"));
            assert_eq!(said.lines().collect::<Vec<_>>(), WITNESS, "{form}");
            machine.stop(&format!("ct@{name}"));
            assert_eq!(machine.show(&format!("ct@{name}"), "Result"), "success");
        }
        assert_eq!(machine.run(["stat", "-c", "%a %U", "/var/lib/ct/layers"]).stdout, "700 root\n");
        assert_eq!(attribute(machine, "owned", "security.capability"), CAPABILITY);
        assert_eq!(attribute(machine, "attribute", "user.name"), b"value");
    }

    fn a_second_import_unpacks_nothing(machine: &Machine) {
        make_image(machine);
        machine.run(["ctctl", "import-image", "/srv/oci", "--no-create"]).succeeds();
        let inodes = || machine.shell("find /var/lib/ct/layers -printf '%i %p %C@\\n' | sort").stdout;
        let before = inodes();
        let names = machine.run(["ctctl", "import-image", "/srv/docker.tar", "--no-create"]).succeeds().stdout;
        assert_eq!(inodes(), before);
        assert_eq!(names.lines().count(), LAYERS);
        let mut sorted: Vec<&str> = names.lines().collect();
        sorted.sort_unstable();
        assert_eq!(sorted, layers(machine));
        assert_eq!(configs(machine), "");
        // What a killed import left goes, whatever it is.
        machine.shell("mkdir -p /var/lib/ct/layers/.import-sha256-x/a && touch /var/lib/ct/layers/.import-sha256-x/a/b").succeeds();
        machine.run(["ctctl", "import-image", "/srv/oci", "--no-create"]).succeeds();
        assert_eq!(layers(machine).len(), LAYERS);
    }

    fn a_killed_import_leaves_nothing_that_looks_complete(machine: &Machine) {
        make_image(machine);
        // The digests of what is right, to compare with.
        machine.run(["ctctl", "import-image", "/srv/oci", "--no-create"]).succeeds();
        let list = "cd /var/lib/ct/layers && find . -type f -exec sha256sum {} + | sort -k2";
        let right = machine.shell(list).stdout;
        let mut partial = 0;
        for (call, when) in KILLED_AT {
            machine.shell("rm -rf /var/lib/ct/layers").succeeds();
            let inject = format!("inject={call}:signal=SIGKILL:when={when}");
            let trace = format!("trace={call}");
            let argv = ["strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let killed = machine.run(argv.iter().chain(&["ctctl", "import-image", "/srv/oci", "--name", "web"])).fails();
            let complete: Vec<String> = layers(machine).into_iter().filter(|name| !name.starts_with('.')).collect();
            for name in &complete {
                let of_layer = |text: &str| -> Vec<String> {
                    text.lines().filter(|line| line.contains(&format!(" ./{name}/"))).map(str::to_owned).collect()
                };
                assert_eq!(of_layer(&machine.shell(list).stdout), of_layer(&right), "{call} {when}");
            }
            partial += usize::from(complete.len() < LAYERS);
            assert!(!configs(machine).lines().any(|name| name == "web.toml") || complete.len() == LAYERS, "{killed}");
            machine.run(["ctctl", "import-image", "/srv/oci", "--name", "web", "--force"]).succeeds();
            assert_eq!(machine.shell(list).stdout, right, "{call} {when}");
            assert_eq!((layers(machine).len(), configs(machine).as_str()), (LAYERS, "web.toml\n"), "{call} {when}");
            machine.shell("rm /etc/ct/containers/web.toml").succeeds();
        }
        assert!(partial >= 8, "only {partial} kills came in the middle");
    }

    fn what_is_damaged_or_too_large_leaves_nothing(machine: &Machine) {
        make_image(machine);
        let refused = |code: i32, arguments: &str, reason: &str| {
            let output = machine.shell(&format!("ctctl import-image {arguments}")).exits(code);
            assert!(output.stderr.contains(reason), "{arguments}: {}", output.stderr);
            assert_eq!((layers(machine).len(), configs(machine).as_str()), (0, ""), "{arguments}");
        };
        // One byte of the last layer, so that others are complete before.
        machine.shell("cp -a /srv/oci /srv/bad && cd /srv/bad/blobs/sha256 && blob=$(cat /srv/last-layer) && \
            printf '\\377' | dd of=$blob bs=1 seek=$(($(stat -c %s $blob) / 2)) conv=notrunc status=none").succeeds();
        refused(1, "/srv/bad", "does not have the digest sha256:");
        machine.shell("cp -a /srv/oci /srv/short && cd /srv/short/blobs/sha256 && truncate -s -9 $(cat /srv/last-layer)").succeeds();
        refused(1, "/srv/short", "ends 9 bytes too early");
        machine.shell("cp -a /srv/oci /srv/missing && rm /srv/missing/blobs/sha256/$(cat /srv/last-layer)").succeeds();
        refused(1, "/srv/missing", "No such file or directory");
        machine.shell("cp -a /srv/docker /srv/bad-docker && cd /srv/bad-docker && echo x >>$(ls *.tar | head -1)").succeeds();
        refused(1, "/srv/bad-docker", "does not have the digest sha256:");
        refused(1, "/srv/oci --max-size 100K", "larger than 102400 bytes (--max-size)");
        refused(1, "/srv", "neither an OCI image layout");
        refused(1, "/srv/nowhere", "cannot read /srv/nowhere: No such file or directory");
        refused(1, "/etc/passwd", "not a tar archive");
        refused(1, "/srv/oci --ref nothing", "there is no image \"nothing\", but v1");
        refused(1, "/srv/oci --platform linux/riscv64", "for linux/riscv64");
        refused(2, "/srv/oci --name ../x", "is not a container name");
        refused(1, "/srv/oci --memory-max 12Q", "resources.memory_max");
        refused(2, "-H other /srv/oci", "does not work with --host");
        // A full disk, at the first file and somewhere in the middle.
        for size in ["8k", "300k"] {
            machine.shell(&format!("mkdir -p /var/lib/ct/layers && mount -t tmpfs -o size={size},mode=700 tmpfs /var/lib/ct/layers")).succeeds();
            refused(1, "/srv/oci", "No space left on device");
            machine.shell("umount /var/lib/ct/layers").succeeds();
        }
        machine.shell("chmod -R a+rX /srv").succeeds();
        let other = machine.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ctctl", "import-image", "/srv/oci"]);
        assert!(other.exits(77).stderr.contains("only root can unpack layers"), "before any work");
    }

    fn several_images_are_told_apart(machine: &Machine) {
        make_image(machine);
        let ambiguous = machine.run(["ctctl", "import-image", "/srv/several"]).exits(1).stderr;
        assert!(ambiguous.contains("which image is meant is to be said with --ref: v1, v2"), "{ambiguous}");
        machine.run(["ctctl", "import-image", "/srv/several", "--ref", "v2", "--name", "second", "--set", "process.env.MINE=1"]).succeeds();
        let toml = machine.read_file("/etc/ct/containers/second.toml");
        assert!(toml.contains("VERSION = \"2\"") && toml.contains("MINE = 1"), "{toml}");
        // Its index has one for another machine first, and an attestation.
        machine.run(["ctctl", "import-image", "/srv/several", "--ref", "v1", "--name", "first", "--", "sh", "-c", "exit 5"]).succeeds();
        machine.run(["systemctl", "start", "ct@first"]);
        machine.wait_for("ct@first", "ActiveState", "failed");
        assert_eq!(machine.show("ct@first", "ExecMainStatus"), "5");
        let name = machine.run(["ctctl", "import-image", "/srv/docker.tar"]).succeeds().stdout;
        assert_eq!(name, "/etc/ct/containers/witness.toml\n");
    }

    fn create_takes_an_image_too(machine: &Machine) {
        make_image(machine);
        machine.run(["ctctl", "create", "web", "--image", "/srv/several", "--ref", "v2", "--writable", "ephemeral",
            "--", "sh", "-c", "[ $VERSION = 2 ] && exit 6"]).succeeds();
        assert_eq!(layers(machine).len(), LAYERS);
        machine.run(["systemctl", "start", "ct@web"]);
        machine.wait_for("ct@web", "ActiveState", "failed");
        assert_eq!(machine.show("ct@web", "ExecMainStatus"), "6");
        machine.shell("rm -rf /var/lib/ct/layers").succeeds();
        let taken = machine.run(["ctctl", "create", "web", "--image", "/srv/oci"]).exits(1).stderr;
        assert!(taken.contains("there is a container \"web\" already"), "{taken}");
        machine.run(["ctctl", "create", "new", "--image", "/srv/oci", "--set", "nokey=1"]).exits(1);
        machine.run(["ctctl", "create", "new", "--image", "/srv/nowhere"]).exits(1);
        machine.run(["ctctl", "create", "new", "--rootfs", "/srv", "--ref", "v1"]).exits(2);
        assert_eq!((layers(machine).len(), configs(machine).as_str()), (0, "web.toml\n"));
    }

    fn the_progress_is_shown_on_a_terminal(machine: &Machine) {
        make_image(machine);
        let import = |options: &str| {
            machine.shell("rm -rf /var/lib/ct/layers");
            let script = format!("TERM=xterm script -qec 'stty cols 100; ctctl import-image /srv/oci --no-create {options}' /dev/null");
            machine.command(["sh", "-c", &script]).deadline(Duration::from_secs(300)).run().succeeds().stdout
        };
        assert!(import("").contains("unpacking ["));
        assert!(!import("--quiet").contains("unpacking ["));
    }
}

/// What the library that skopeo, Podman and Buildah share writes, and not only what this test takes for that.
#[test]
fn what_podman_writes_is_read() {
    unless_skipped(Root::Debian13, |root| {
        let machine = &Machine::boot_from(root, &test_name());
        make_image(machine);
        let podman = "podman --root /srv/storage --runroot /run/storage --storage-driver vfs";
        machine
            .shell(&format!(
                "{podman} pull -q oci:/srv/oci:v1 && {podman} images -q --no-trunc >/srv/id && \
            {podman} tag $(cat /srv/id) shop.example/real:2"
            ))
            .succeeds();
        for format in ["docker-archive", "oci-archive", "docker-dir", "oci-dir"] {
            let save = format!("{podman} save -q --format {format} -o /srv/{format} shop.example/real:2");
            machine.shell(&save).succeeds();
            if format == "docker-dir" {
                // Neither of the two: skopeo's own, for files of a registry.
                let refused = machine.run(["ctctl", "import-image", "/srv/docker-dir"]).exits(1).stderr;
                assert!(refused.contains("skopeo copy"), "{refused}");
                continue;
            }
            machine.shell("rm -rf /var/lib/ct/layers").succeeds();
            let path = format!("/srv/{format}");
            machine.run(["ctctl", "import-image", &path, "--name", "real", "--force"]).succeeds();
            assert_eq!(layers(machine).len(), LAYERS, "{format}");
            machine.start("ct@real");
            let out = "/var/lib/ct/real/upper/out";
            machine.shell(&format!("until [ -e {out}/done ]; do sleep 0.1; done")).succeeds();
            let said = machine.read_file(format!("{out}/witness"));
            assert_eq!(said.lines().collect::<Vec<_>>(), WITNESS, "{format}");
            assert_eq!(attribute(machine, "owned", "security.capability"), CAPABILITY, "{format}");
            machine.stop("ct@real");
            machine.shell("rm -rf /var/lib/ct/real").succeeds();
        }
    });
}
