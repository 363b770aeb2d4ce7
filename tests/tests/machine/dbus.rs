// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client of systemd's manager. The tests' own process talks to the machine's systemd, through the machine's bus; what
//! needs ctctl inside is in `access.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ct_config::host::Host;
use ct_config::name::ContainerName;
use ct_config::settings::{Property, unit_settings};
use ct_config::sources::Tree;
use ct_dbus::connection::Route;
use ct_dbus::job::{JobResult, Verb};
use ct_dbus::property::{Kind, bus_properties, known};
use ct_dbus::transient::Runs;
use ct_dbus::unit::Whom;
use ct_dbus::{Error, Systemd, Target};
use ct_tests::{Machine, Running, on_every_machine};
use every_key::{FILTERS, everything};

mod every_key;

fn connect(machine: &Machine) -> Systemd {
    let root = PathBuf::from(format!("/proc/{}/root", machine.pid()));
    Systemd::connect(&Target::Below(root))
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
}

fn container(machine: &Machine, name: &str, script: &str) {
    machine.container(
        name,
        &format!("[root]\npath = \"/srv/rootfs\"\n[process]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"),
    );
}

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn prepare(machine: &Machine) {
    machine.busybox_rootfs("/srv/rootfs");
    container(machine, "web", IDLE);
    machine.container("bad", "root.path = \"/srv/nowhere\"\n");
    let never_ready = format!(
        "root.path = \"/srv/rootfs\"\nprocess.command = [\"sh\", \"-c\", \"{IDLE}\"]\nready.command = [\"false\"]\n"
    );
    machine.container("slow", &never_ready);
    machine.daemon_reload();
}

/// All that systemd has of a unit; systemctl itself does not print one of the types.
fn shown(machine: &Machine, unit: &str) -> String {
    let script = r#"
        systemctl show --all "$1"
        path=$(busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager LoadUnit s "$1")
        path=${path#o \"} kind=Service
        case $1 in *.scope) kind=Scope ;; esac
        ! set=$(busctl get-property org.freedesktop.systemd1 "${path%\"}" "org.freedesktop.systemd1.$kind" NFTSet) ||
            echo "NFTSet=$set"
    "#;
    machine.run(["sh", "-c", script, "sh", unit]).succeeds().stdout
}

fn value_of<'a>(show: &'a str, name: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix('=');
    // Sets come in any order, and some settings on several lines.
    let mut words: Vec<&str> = show.lines().filter_map(value).flat_map(str::split_whitespace).collect();
    words.sort_unstable();
    words
}

/// What a container with each of these lines below `[resources]` and elsewhere becomes.
fn settings_of(toml: &str) -> Vec<Property> {
    let root = std::env::temp_dir().join(format!(
        "ct-dbus-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let containers = root.join("etc/ct/containers");
    std::fs::create_dir_all(&containers).expect("the directory is new");
    std::fs::write(containers.join("twin.toml"), toml).expect("and ours");
    let (host, _) = Host::load(&root);
    let name = ContainerName::parse("twin").expect("a plain name");
    let container = ct_config::load(&Tree::scan(&root), &host, &name)
        .unwrap_or_else(|broken| panic!("{:?}", broken.problems));
    std::fs::remove_dir_all(&root).expect("nobody else is in there");
    unit_settings(&container).service
}

/// Each setting shows, as `systemctl show` has it, where the drop-in changes what is shown; and the same in the other unit.
fn assert_same(settings: &[Property], drop_in: &str, untouched: &str, other: &str) {
    for setting in settings.iter().filter(|setting| !APART.contains(&setting.name)) {
        let stem = setting.name.trim_end_matches("Sec");
        let names = drop_in.lines().filter_map(|line| line.split_once('=').map(|(name, _)| name));
        let of_setting = names.filter(|name| name.starts_with(stem));
        let changed: Vec<_> =
            of_setting.filter(|name| value_of(drop_in, name) != value_of(untouched, name)).collect();
        assert!(!changed.is_empty(), "{} shows nowhere", setting.name);
        for name in changed {
            assert_eq!(value_of(other, name), value_of(drop_in, name), "{name}");
        }
    }
}

/// Until a command has printed this.
fn wait_for_output(running: &Running, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !(running.stdout() + &running.stderr()).contains(text) {
        assert!(Instant::now() < deadline, "should print {text:?}: {}{}", running.stdout(), running.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process in a session of its own, as the machine counts.
fn sleeper(machine: &Machine) -> u32 {
    let script = "setsid sleep 1234 </dev/null >/dev/null 2>&1 & echo $!";
    machine.shell(script).succeeds().stdout.trim().parse().expect("the shell prints a number")
}

/// What a unit of another name, slice and template has otherwise.
const APART: [&str; 3] = ["Environment", "Slice", "SuccessExitStatus"];

on_every_machine! {
    fn jobs_and_units(machine: &Machine) {
        prepare(machine);
        let systemd = connect(machine);
        assert_eq!(systemd.route(), Route::Bus);
        assert!(systemd.version().unwrap().starts_with(&systemd.major_version().unwrap().to_string()));
        assert_eq!(systemd.run(Verb::Start, "ct@web.service", None).unwrap(), JobResult::Done);
        let unit = systemd.unit("ct@web.service").unwrap();
        assert_eq!((unit.text("ActiveState"), unit.text("SubState")), ("active", "running"));
        assert_eq!(unit.number("MainPID"), Some(machine.main_pid("ct@web")));
        assert!(!unit.flag("NeedDaemonReload"));
        assert_eq!(unit.invocation(), machine.show("ct@web", "InvocationID"));
        let listed = systemd.list(&["ct@*.service"]).unwrap();
        assert!(
            listed.iter().any(|unit| unit.name == "ct@web.service" && unit.sub_state == "running"),
            "{listed:?}"
        );
        systemd.kill("ct@web.service", Whom::Main, 9).unwrap();
        machine.wait_for("ct@web", "ActiveState", "failed");
        assert_eq!(systemd.unit("ct@web.service").unwrap().text("Result"), "signal");
        systemd.reset_failed("ct@web.service").unwrap();
        assert_eq!(machine.show("ct@web", "ActiveState"), "inactive");
        assert_eq!(systemd.run(Verb::Start, "ct@bad.service", None).unwrap(), JobResult::Failed);
        match systemd.run(Verb::Start, "no-such.service", None) {
            Err(Error::NoSuchUnit { unit }) => assert_eq!(unit, "no-such.service"),
            other => panic!("{other:?}"),
        }
        match systemd.run(Verb::Start, "ct@slow.service", Some(Duration::from_millis(300))) {
            Err(Error::TimedOut { units, .. }) => assert_eq!(units, ["ct@slow.service"]),
            other => panic!("{other:?}"),
        }
        let state = systemd.unit("ct@slow.service").unwrap();
        assert_eq!(state.text("ActiveState"), "activating", "the job goes on");
        assert_eq!(systemd.run(Verb::Stop, "ct@slow.service", None).unwrap(), JobResult::Done);
    }

    /// More than zbus keeps of signals that nobody reads yet.
    fn jobs_side_by_side(machine: &Machine) {
        machine.write_file("/etc/systemd/system/quick@.service", 0o644, "[Service]\nType=oneshot\nExecStart=true\n");
        machine.write_file("/etc/systemd/system/bad.service", 0o644, "[Service]\nType=oneshot\nExecStart=false\n");
        machine.write_file(
            "/etc/systemd/system/needs.service",
            0o644,
            "[Unit]\nRequires=bad.service\nAfter=bad.service\n[Service]\nExecStart=true\n",
        );
        machine.daemon_reload();
        let systemd = connect(machine);
        let mut jobs = systemd.jobs().unwrap();
        for number in 0..150 {
            jobs.queue(Verb::Start, &format!("quick@{number}.service")).unwrap();
        }
        jobs.queue(Verb::Start, "needs.service").unwrap();
        let mut results = BTreeMap::new();
        while let Some((unit, result)) = jobs.next(None).unwrap() {
            results.insert(unit, result);
        }
        assert_eq!(results.len(), 151);
        assert_eq!(results.remove("needs.service"), Some(JobResult::Dependency));
        assert!(results.values().all(|result| *result == JobResult::Done), "{results:?}");
        assert!(jobs.failures().contains(&("bad.service".to_owned(), JobResult::Failed)), "{:?}", jobs.failures());
    }

    fn units_are_frozen_enabled_and_changed(machine: &Machine) {
        prepare(machine);
        machine.start("ct@web");
        let systemd = connect(machine);
        systemd.freeze("ct@web.service").unwrap();
        assert_eq!(machine.show("ct@web", "FreezerState"), "frozen");
        systemd.thaw("ct@web.service").unwrap();
        assert_eq!(machine.show("ct@web", "FreezerState"), "running");
        systemd.enable("ct@web.service").unwrap();
        assert_eq!(systemd.unit_file_state("ct@web.service").unwrap(), "enabled");
        systemd.disable("ct@web.service").unwrap();
        assert_eq!(systemd.unit_file_state("ct@web.service").unwrap(), "disabled");
        systemd.set_properties("ct@web.service", true, &[("TasksMax".to_owned(), 7_u64.into())]).unwrap();
        assert_eq!(machine.show("ct@web", "TasksMax"), "7");
        container(machine, "late", IDLE);
        systemd.reload().unwrap();
        assert_eq!(machine.show("ct@late", "SourcePath"), "/etc/ct/containers/late.toml");
    }

    fn a_transient_service_shows_what_a_drop_in_shows(machine: &Machine) {
        let systemd = connect(machine);
        let (toml, version) = (everything(&systemd), systemd.major_version().unwrap());
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("twin", &toml);
        machine.daemon_reload();
        let mut settings = known(&settings_of(&toml), Kind::Service, version);
        settings.retain(|setting| setting.name != "Environment");
        let result = systemd.start_transient(
            "twin.service",
            &Runs::Command(&["/bin/sleep", "1000"]),
            bus_properties(&settings),
            None,
        );
        assert_eq!(result.unwrap(), JobResult::Done);
        let show = |unit: &str| shown(machine, unit);
        let (drop_in, transient, untouched) = (show("ct@twin.service"), show("twin.service"), show("ct@untouched.service"));
        assert_same(&settings, &drop_in, &untouched, &transient);
        // What is apart above, since the template says something too.
        assert_eq!(value_of(&transient, "SuccessExitStatus"), ["RTMIN+5"]);
        assert!(value_of(&drop_in, "SuccessExitStatus").contains(&"RTMIN+5"));
        assert_eq!(value_of(&transient, "Slice"), value_of(&drop_in, "Slice"));
    }

    /// Without these programs a unit does not start, and a transient one is gone at once; but systemd says why.
    fn filters_are_asked_for(machine: &Machine) {
        let systemd = connect(machine);
        let settings = settings_of(&format!("root.path = '/srv/rootfs'\n{FILTERS}"));
        let filters: Vec<_> = settings.into_iter().filter(|setting| setting.name.starts_with("IP")).collect();
        for (filter, path) in filters.iter().zip(["/sys/fs/bpf/in", "/sys/fs/bpf/out"]) {
            let properties = bus_properties(std::slice::from_ref(filter));
            let result = systemd.start_transient("twin.service", &Runs::Command(&["/bin/true"]), properties, None);
            assert_eq!(result.unwrap(), JobResult::Failed);
            assert!(machine.journal("twin").contains(&format!(" BPF program {path} failed")), "{}", machine.journal("twin"));
        }
        assert_eq!(filters.len(), 2);
    }

    fn a_transient_scope_has_what_a_scope_can_have(machine: &Machine) {
        let systemd = connect(machine);
        let (toml, version) = (everything(&systemd), systemd.major_version().unwrap());
        machine.busybox_rootfs("/srv/rootfs");
        machine.container("twin", &toml);
        machine.daemon_reload();
        let settings = known(&settings_of(&toml), Kind::Scope, version);
        let processes = Runs::Pids(&[sleeper(machine)]);
        let result = systemd.start_transient("twin.scope", &processes, bus_properties(&settings), None);
        assert_eq!(result.unwrap(), JobResult::Done);
        let show = |unit: &str| shown(machine, unit);
        let (drop_in, scope, untouched) = (show("ct@twin.service"), show("twin.scope"), show("ct@untouched.service"));
        assert_same(&settings, &drop_in, &untouched, &scope);
        // Each of the others is one that a scope has not: the list leaves out nothing.
        let left_out = settings_of(&toml).into_iter().filter(|setting| !settings.contains(setting));
        for setting in left_out {
            let pid = sleeper(machine);
            let properties = bus_properties(std::slice::from_ref(&setting));
            match systemd.start_transient("other.scope", &Runs::Pids(&[pid]), properties, None) {
                Err(Error::Refused { .. }) => {}
                other => panic!("{}: {other:?}", setting.name),
            }
        }
    }

    fn a_scope_takes_a_process_and_goes_with_it(machine: &Machine) {
        let systemd = connect(machine);
        let pid = sleeper(machine);
        let most = vec![("MemoryMax".to_owned(), (64_u64 << 20).into())];
        assert_eq!(systemd.start_transient("x.scope", &Runs::Pids(&[pid]), most, None).unwrap(), JobResult::Done);
        let cgroup = machine.read_file(format!("/proc/{pid}/cgroup"));
        assert!(cgroup.ends_with("/x.scope\n"), "{cgroup}");
        assert_eq!(machine.show("x.scope", "MemoryMax"), (64 << 20).to_string());
        systemd.set_properties("x.scope", true, &[("TasksMax".to_owned(), 7_u64.into())]).unwrap();
        assert_eq!(machine.show("x.scope", "TasksMax"), "7");
        machine.shell(&format!("kill {pid}")).succeeds();
        machine.wait_for("x.scope", "LoadState", "not-found");
    }

    /// Signals are anybody's to send; only systemd's count. Its jobs are those of its unique name, also a new one.
    fn a_forged_signal_ends_no_wait(machine: &Machine) {
        prepare(machine);
        let systemd = connect(machine);
        let mut jobs = systemd.jobs().unwrap();
        jobs.queue(Verb::Start, "ct@slow.service").unwrap();
        let job = machine.show("ct@slow", "Job");
        let path = format!("objpath:/org/freedesktop/systemd1/job/{job}");
        let forged = [
            "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
            "dbus-send", "--system", "--type=signal", "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager.JobRemoved",
            &format!("uint32:{job}"), &path, "string:ct@slow.service", "string:done",
        ];
        // Another one on the bus hears it, so that it is known to have been sent.
        let listener = machine.command(["busctl", "--match=type='signal',member='JobRemoved'", "monitor"]).spawn();
        wait_for_output(&listener, "Monitoring bus message stream");
        machine.run(forged).succeeds();
        wait_for_output(&listener, "ct@slow.service");
        let soon = Instant::now() + Duration::from_millis(500);
        assert_eq!(jobs.next(Some(soon)).unwrap(), None);
        // The real one counts, even from a systemd that has executed itself anew and has another name on the bus.
        machine.run(["systemctl", "daemon-reexec"]).succeeds();
        machine.run(["systemctl", "stop", "ct@slow"]).succeeds();
        assert_eq!(jobs.next(None).unwrap(), Some(("ct@slow.service".to_owned(), JobResult::Canceled)));
    }
}
