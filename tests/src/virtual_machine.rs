// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine with a kernel of its own, all controllers of cgroup v2 and every capability: QEMU without KVM, booted in
//! some ten seconds and shared by the tests of one program. See qemu(1).

mod agent;
mod image;

use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::command::Output;
use crate::inside::Inside;
use crate::root::{System, results_dir};
use crate::seed::{Seed, succeeds};
use crate::{evidence, skip};
use agent::Agent;
use image::Image;

/// Far above the ten seconds of a boot, for computers that are slow and busy.
const BOOT_DEADLINE: Duration = Duration::from_secs(600);

/// How long a command may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// How long one may take for the results of a failed test.
const EVIDENCE_DEADLINE: Duration = Duration::from_secs(100);

/// A running virtual machine. What can be asked of it is in [`Inside`].
pub struct VirtualMachine {
    name: String,
    dir: PathBuf,
    guard: Child,
    /// The guard kills the machine when this closes, which the kernel does if we end without dropping it.
    lifeline: Option<ChildStdin>,
    agent: Mutex<Agent>,
}

/// Why there is none.
enum Absent {
    /// What this computer lacks.
    Missing(String),
    /// A machine that was there and should have worked.
    Broken(String),
}

/// Runs a test's body on the program's virtual machine with this system, which the first of them boots, and then takes its
/// containers away; or says why it cannot run.
///
/// # Panics
/// When the body does, or leaves something behind; when the machine does not boot; in CI also when a prerequisite is
/// missing.
#[track_caller]
pub fn on_virtual_machine(system: System, body: fn(&VirtualMachine)) {
    // Never dropped, as the test runner has no last test: they end by their lifelines.
    static DEBIAN12: OnceLock<Result<VirtualMachine, Absent>> = OnceLock::new();
    static DEBIAN13: OnceLock<Result<VirtualMachine, Absent>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has left the machine as good as any other.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (machine, name) = match system {
        System::Debian12 => (&DEBIAN12, "virtual-machine-debian12"),
        System::Debian13 => (&DEBIAN13, "virtual-machine"),
    };
    let machine = match machine.get_or_init(|| VirtualMachine::boot(system, name)) {
        Ok(machine) => machine,
        Err(Absent::Missing(missing)) => return skip::skip(missing),
        Err(Absent::Broken(error)) => panic!("{error}"),
    };
    let ended = catch_unwind(AssertUnwindSafe(|| body(machine)));
    if ended.is_err() {
        let dir = machine.dir.join(skip::test_name());
        fs::create_dir_all(&dir).ok(); // what follows says why it cannot write
        evidence::save(&machine.name, &dir, |script| machine.ask(script, b"", EVIDENCE_DEADLINE));
    }
    let cleaned = machine.ask(include_str!("virtual_machine/clean.sh"), b"", DEADLINE);
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
    match cleaned {
        Ok(output) => drop(output.succeeds()),
        Err(error) => panic!("cannot clean up: {error}"),
    }
}

impl VirtualMachine {
    fn boot(system: System, name: &str) -> Result<VirtualMachine, Absent> {
        Command::new("qemu-system-x86_64")
            .arg("--version")
            .output()
            .map_err(|error| Absent::Missing(format!("cannot run qemu-system-x86_64: {error}")))?;
        let image = image::cached(system).map_err(Absent::Missing)?;
        let machine = VirtualMachine::try_boot(name, &image)
            .map_err(|error| Absent::Broken(format!("cannot boot {name}: {error}")))?;
        let running = machine.until_it_runs();
        running.map_err(|error| {
            let console = fs::read(machine.dir.join("console")).unwrap_or_default();
            let console = String::from_utf8_lossy(&console);
            Absent::Broken(format!("{name} does not boot: {error}\n{console}"))
        })?;
        Ok(machine)
    }

    fn try_boot(name: &str, image: &Image) -> std::io::Result<VirtualMachine> {
        let dir = results_dir().join(name);
        fs::remove_dir_all(&dir).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        pack_seed(&dir)?;
        let (agent, far_end) = UnixStream::pair()?;
        let mut guard = Command::new("sh")
            .arg("-c")
            .arg(include_str!("virtual_machine/guard.sh"))
            .arg("guard")
            .args([&image.kernel, &image.disk])
            .arg("seed.tar")
            .current_dir(&dir)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(OwnedFd::from(far_end))
            .stderr(File::create(dir.join("console"))?)
            .process_group(0) // ^C is for the tests: the guard has to outlive them
            .spawn()?;
        let lifeline = guard.stdin.take();
        let agent = Mutex::new(Agent::new(agent));
        Ok(VirtualMachine { name: name.to_owned(), dir, guard, lifeline, agent })
    }

    fn until_it_runs(&self) -> Result<(), String> {
        self.agent.lock().expect("nobody else has it yet").greeting(BOOT_DEADLINE)?;
        let state =
            self.ask("systemctl is-system-running --wait || systemctl --failed", b"", BOOT_DEADLINE)?;
        if state.stdout == "running\n" { Ok(()) } else { Err(state.to_string()) }
    }

    fn ask(&self, script: &str, stdin: &[u8], deadline: Duration) -> Result<Output, String> {
        // A test that failed while it held the agent has left half an answer in it.
        let mut agent = self.agent.lock().map_err(|_poison| format!("{} has been lost", self.name))?;
        agent.ask(script, stdin, deadline)
    }
}

/// The build and the agent, as the tar that the machine lays over its root.
fn pack_seed(dir: &Path) -> std::io::Result<()> {
    let mut seed = Seed::default();
    let mut file = |path: &str, text: &str| seed.files.push((path.into(), 0o644, text.to_owned()));
    file("/usr/lib/ct-tests/agent.sh", include_str!("virtual_machine/agent.sh"));
    file("/etc/systemd/system/ct-tests-agent.service", include_str!("virtual_machine/agent.service"));
    let wanted = "/etc/systemd/system/multi-user.target.wants/ct-tests-agent.service";
    seed.links.push((wanted.into(), "../ct-tests-agent.service".to_owned()));
    seed.busybox_rootfs.push("/srv/rootfs".into());
    let files = dir.join("seed");
    seed.fill(&files)?;
    succeeds(
        Command::new("tar").arg("-cf").arg(dir.join("seed.tar")).arg("-C").args([&*files, ".".as_ref()]),
    )?;
    fs::remove_dir_all(files)
}

impl Inside for VirtualMachine {
    #[track_caller]
    fn run_inside(&self, argv: Vec<OsString>, stdin: &[u8]) -> Output {
        let words: Vec<_> = argv.iter().map(|word| word.to_string_lossy()).collect();
        let quoted: Vec<_> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
        match self.ask(&quoted.join(" "), stdin, DEADLINE) {
            Ok(output) => Output { what: words.join(" "), ..output },
            Err(error) => panic!("`{}`: {error}", words.join(" ")),
        }
    }
}

impl Deref for VirtualMachine {
    type Target = dyn Inside;

    fn deref(&self) -> &Self::Target {
        self
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        self.guard.wait().ok(); // it has no status of interest: nothing is left but target/
    }
}
