// SPDX-License-Identifier: MIT OR Apache-2.0
//! A folder that stands for `/`, and the containers that tests begin from.

use std::fs;
use std::path::{Path, PathBuf};

use ct_config::Broken;
use ct_config::container::Container;
use ct_config::host::Host;
use ct_config::name::ContainerName;
use ct_config::problem::Problem;
use ct_config::sources::Tree;

/// The least that is a container.
pub(crate) const MINIMAL: &str =
    "[root]\npath = \"/srv/web/rootfs\"\n\n[process]\ncommand = [\"/bin/true\"]\n";

/// Every key that has an effect, as the contract shows it.
pub(crate) const EVERYTHING: &str = r#"
description = "Web front end"
runtime     = "crun"
user        = "ct-web"
slice       = "ct-prod.slice"
hostname    = "web"

[root]
layers   = ["debian-12", "/srv/layers/nginx"]
writable = "persistent"
idmap    = false

[process]
command  = ["/usr/sbin/nginx", "-g", "daemon off;"]
cwd      = "/"
env      = { LANG = "C.UTF-8", WORKERS = 4 }
env_file = ["/etc/default/web", "-/etc/default/web-local"]
user     = "www-data"
group    = 33
groups   = ["adm", 100]
terminal = false
init     = false

[idmap]
uid = [[0, 200000, 65536]]
gid = [[0, 200000, 65536]]

[[mount]]
source = "/srv/data"
target = "/var/lib/data"
type   = "bind"
options = ["ro", "nosuid"]
create = "dir"

[[mount]]
target = "/tmp"
type = "tmpfs"

[limits]
nofile = "1024:65536"
core = 0
memlock = "infinity"

[resources]
memory_max = "512M"
cpu_quota  = "150%"
tasks_max  = 512

[oom]
score_adjust = 200
policy       = "kill"

[depends]
requires = ["db"]
wants    = ["cache"]
after    = ["network-online.target"]
before   = []

[autostart]
enabled  = true
priority = 10

[ready]
command  = []
notify   = false

[stop]
signal  = "SIGQUIT"
timeout = "30s"

[restart]
policy = "on-failure"
delay  = "1s"

[hooks]
pre_start = []
post_start = []
post_stop = []

[network]
mode = "none"

[security]
capabilities = { add = ["net_admin"], drop = ["CAP_MKNOD"] }
no_new_privileges = true
seccomp = "default"
devices = ["/dev/fuse:rw"]

[systemd.unit]
StartLimitBurst = 5
[systemd.service]
LogLevelMax = "notice"
"#;

/// Removed when dropped.
pub(crate) struct FakeRoot(PathBuf);

impl FakeRoot {
    /// `name` must differ between the tests of one file.
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        self.write_bytes(path, text.as_bytes());
    }

    pub(crate) fn write_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::scan(&self.0)
    }

    pub(crate) fn host(&self) -> (Host, Vec<Problem>) {
        Host::load(&self.0)
    }

    pub(crate) fn load(&self, name: &str) -> Result<Container, Box<Broken>> {
        ct_config::load(&self.tree(), &self.host().0, &ContainerName::parse(name).unwrap())
    }

    /// The names found, and what is wrong with the directories.
    pub(crate) fn names(&self) -> (Vec<String>, Vec<String>) {
        let tree = self.tree();
        let names = tree.names().map(ToString::to_string).collect();
        (names, tree.problems().iter().map(ToString::to_string).collect())
    }

    /// Why a container is broken, a line for each reason, without the directory of its file.
    pub(crate) fn reasons(&self, name: &str) -> Vec<String> {
        match self.load(name) {
            Ok(container) => panic!("{name} is good: {container:?}"),
            Err(broken) => broken.problems.iter().map(short).collect(),
        }
    }

    /// The only container of the tree, from one file.
    pub(crate) fn only(&self, text: &str) -> Result<Container, Vec<String>> {
        self.write("/etc/ct/containers/web.toml", text);
        self.load("web").map_err(|broken| broken.problems.iter().map(short).collect())
    }
}

/// `web.toml:3:1: REASON`
pub(crate) fn short(problem: &Problem) -> String {
    problem.to_string().replace("/etc/ct/containers/", "").replace("/etc/ct/ct.toml", "ct.toml")
}

impl Drop for FakeRoot {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}
