// SPDX-License-Identifier: MIT OR Apache-2.0
//! What takes a kernel of its own: does a container get the memory, tasks, processors and disk of its config and no
//! more, its oom score below 0, its limits above the host's; does it go on after a checkpoint by CRIU? To add a case, see `on_the_virtual_machine!`.

mod checkpoint;
mod ctctl;
mod fork_bomb;
mod harness;
mod limits;
mod oom_score;
mod out_of_memory;
mod resources;
mod set;
mod system_container;

use ct_tests::VirtualMachine;

/// Both runtimes, as root and through an account: a name, and the keys for it.
const WAYS: [(&str, &str); 4] = [
    ("crun", "runtime = 'crun'\n"),
    ("crun-account", "runtime = 'crun'\nuser = 'ct-web'\n"),
    ("runc", "runtime = 'runc'\n"),
    ("runc-account", "runtime = 'runc'\nuser = 'ct-web'\n"),
];

/// An init that ends when it is told to, and a child.
const SLEEPS: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

/// Writes the config of a container that runs this script, with these keys before and these tables after.
fn container(machine: &VirtualMachine, name: &str, keys: &str, script: &str, tables: &str) {
    machine.container(
        name,
        &format!(
            "{keys}root.path = '/srv/rootfs'\nprocess.command = ['sh', '-c', \"{script}\"]\n\
             stop.timeout = '60s'\n{tables}"
        ),
    );
}

/// What a script prints for each process of a container, `$pid`, once it has this many.
fn of_each_process(machine: &VirtualMachine, name: &str, count: usize, script: &str) -> Vec<String> {
    let payload = format!("/sys/fs/cgroup/ct.slice/ct@{name}.service/payload");
    machine.wait_until(&format!("[ $(wc -l <{payload}/cgroup.procs) = {count} ]"));
    let script = format!("for pid in $(cat {payload}/cgroup.procs); do {script}; echo --; done");
    let printed = machine.shell(&script).succeeds().stdout;
    let each: Vec<String> = printed.split_terminator("--\n").map(str::to_owned).collect();
    assert_eq!(each.len(), count, "{name}: {printed}");
    each
}
