// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few system calls that no safe crate wraps. The only unsafe code of the helper.
#![expect(
    unsafe_code,
    reason = "raw system calls and the code between fork and exec live here and nowhere else"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, Gid, Pid, Uid, setgroups, setresgid, setresuid};

/// Makes a call again as long as a signal interrupts it. nix leaves that to its callers, where std does it itself.
pub(crate) fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(nix::errno::Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// pidfd_open(2): a handle on a process that can be polled and never means another one.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed; a non-negative result is a new descriptor that nobody else owns.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above returned it just now.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// close_range(2) with CLOEXEC on all but stdin, stdout and stderr: what PID 1 or a debugger left open here must not
/// reach the runtime, and through it the container.
pub(crate) fn close_on_exec_above_stderr() -> io::Result<()> {
    // SAFETY: no memory is passed; nothing is closed now, so no owned descriptor dangles.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes a write beyond RLIMIT_FSIZE fail with EFBIG, which can be told, where SIGXFSZ would kill without a word.
///
/// A handler and not SIG_IGN, for exec(2) puts the default back in its place: the runtime and the container get what
/// PID 1 gave to us.
pub(crate) fn fail_writes_beyond_the_limit() -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing, hence nothing that a signal handler may not do.
    unsafe { sigaction(Signal::SIGXFSZ, &action) }?;
    Ok(())
}

/// The default action for every signal, and none blocked, whatever the caller has made of them: all of that would be passed
/// on to a program that is run. To SIGPIPE std has seen for this process, and [`Command`] does for its children.
pub(crate) fn default_signals() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // The C library keeps some to itself, and two cannot be changed.
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP | libc::SIGPIPE | 32 | 33) {
            continue;
        }
        // SAFETY: no handler is set; there is one thread.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// open_tree(2) with OPEN_TREE_CLONE: a mount of its own, in no namespace, of what is at `path`.
pub(crate) fn clone_mount(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path lives through the call and ends in a NUL; a non-negative result is a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above returned it just now.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// move_mount(2) of a mount that [`clone_mount`] made onto an open directory.
pub(crate) fn attach_mount(mount: &OwnedFd, directory: &OwnedFd) -> io::Result<()> {
    let (from, to) = (mount.as_raw_fd(), directory.as_raw_fd());
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are empty strings that live as long as the program.
    let result = unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// SIOCSIFFLAGS with IFF_UP on `lo` of this process's network namespace; the kernel adds the addresses. See netdevice(7).
pub(crate) fn bring_up_loopback() -> io::Result<()> {
    // Of any family: the call is for the network namespace that the socket was made in.
    let socket = UnixDatagram::unbound()?;
    // SAFETY: ifreq is plain data for which all zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (byte, letter) in request.ifr_name.iter_mut().zip(b"lo") {
        *byte = *letter as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).map_err(io::Error::other)?;
    // SAFETY: the call reads one ifreq, which lives through it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// mount_setattr(2): what is said of a mount, and with `AT_RECURSIVE` of all below it, from a descriptor of its root.
pub(crate) fn mount_setattr(
    mount: BorrowedFd<'_>,
    flags: i32,
    attributes: &libc::mount_attr,
) -> io::Result<()> {
    // SAFETY: the empty path ends in its NUL, and `attributes` is of the type and the size that are said.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags | libc::AT_EMPTY_PATH,
            std::ptr::from_ref(attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What PID 1 has passed on from its store, so many from number 3 on (sd_listen_fds(3)). To be called once, and before this
/// process has opened anything.
pub(crate) fn descriptors_of_pid_1(count: u16) -> io::Result<Vec<OwnedFd>> {
    let numbers = (3..).take(usize::from(count));
    // SAFETY: the caller has looked at LISTEN_PID: these were opened for this process, and by nobody in it.
    let descriptors: Vec<OwnedFd> = numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect();
    for descriptor in &descriptors {
        nix::fcntl::fcntl(descriptor, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    Ok(descriptors)
}

/// Which side of a fork this is.
#[derive(Debug)]
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one, with the new one's pid.
    Parent(Pid),
}

/// fork(2)
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: the helper has one thread, so that the child may do all that the parent may.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => Ok(Fork::Child),
        ForkResult::Parent { child } => Ok(Fork::Parent(child)),
    }
}

/// What waitid(2) tells of a child, or of a process that is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
    /// It is stopped and shall be continued with this signal, or none (0).
    Stopped(i32),
}

/// waitid(2) for one process, without blocking. nix's knows no real-time signals.
pub(crate) fn wait(pid: i32, flags: i32) -> io::Result<Option<Change>> {
    let pid = libc::id_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: siginfo_t is plain data for which all zeroes are valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    retry(|| {
        // SAFETY: `info` lives through the call and is of the type it is written as.
        nix::errno::Errno::result(unsafe {
            libc::waitid(libc::P_PID, pid, &raw mut info, flags | libc::WNOHANG)
        })
    })?;
    // SAFETY: waitid() fills in the fields of SIGCHLD, or leaves the zeroes.
    let (changed, status) = unsafe { (info.si_pid(), info.si_status()) };
    if changed == 0 {
        return Ok(None);
    }
    Ok(match info.si_code {
        libc::CLD_EXITED => Some(Change::Exited(status)),
        libc::CLD_KILLED | libc::CLD_DUMPED => Some(Change::Killed(status)),
        // The high byte names an event that is no signal.
        libc::CLD_TRAPPED if status >> 8 != 0 => Some(Change::Stopped(0)),
        libc::CLD_TRAPPED | libc::CLD_STOPPED => Some(Change::Stopped(status)),
        _ => None,
    })
}

/// PTRACE_CONT of a stopped tracee.
pub(crate) fn trace_continue(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: PTRACE_CONT takes numbers only, the signal in place of the pointer.
    let result = unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0_usize, signal as libc::c_long) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Arranges for `command`'s child to join a control group before it executes; `procs` is its `cgroup.procs`. Called
/// before [`switch_user_before_exec`]: it takes the right to write there.
pub(crate) fn enter_cgroup_before_exec(command: &mut Command, procs: OwnedFd) {
    let join = move || retry(|| nix::unistd::write(&procs, b"0")).map(drop).map_err(io::Error::from);
    // SAFETY: runs between fork and exec; one write(2) of a constant to a descriptor that the closure owns.
    unsafe { command.pre_exec(join) };
}

/// Signals that are taken from a descriptor while this lives, and act as usual before and after. Children do not
/// inherit that: [`Command`] unblocks all signals.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
    set: libc::sigset_t,
}

impl Signals {
    /// signalfd(2) for these; real-time signals too, which nix does not know.
    pub(crate) fn catch(signals: &[i32]) -> io::Result<Self> {
        // SAFETY: sigset_t is plain data, emptied before its first use.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `set` is a valid signal set throughout.
        let fd = unsafe {
            libc::sigemptyset(&raw mut set);
            signals.iter().for_each(|signal| {
                libc::sigaddset(&raw mut set, *signal);
            });
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) < 0 {
                return Err(io::Error::last_os_error());
            }
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd() returned it just now.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, set })
    }

    /// As [`Self::catch`], until this process ends: for one that has something to tell first, which a signal that is still
    /// pending by then must not keep it from.
    pub(crate) fn catch_for_good(signals: &[i32]) -> io::Result<&'static Self> {
        Ok(Box::leak(Box::new(Self::catch(signals)?)))
    }

    /// The next signal that has come, if any.
    pub(crate) fn next(&self) -> Option<i32> {
        self.next_with_sender().map(|(signal, _sender)| signal)
    }

    /// The next signal that has come, if any, and the process that sent it; 0 for the kernel.
    pub(crate) fn next_with_sender(&self) -> Option<(i32, i32)> {
        let mut info = [0; std::mem::size_of::<libc::signalfd_siginfo>()];
        let count = nix::unistd::read(&self.fd, &mut info).ok()?;
        // `ssi_signo` is the first field and `ssi_pid` the fourth, each 32 bits wide (signalfd(2)).
        let field = |at: usize| Some(i32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?));
        Some((field(0).filter(|_| count == info.len())?, field(12)?))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    /// One that is pending acts now.
    fn drop(&mut self) {
        // SAFETY: `set` is the valid signal set that was blocked.
        unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const self.set, std::ptr::null_mut()) };
    }
}

/// pidfd_send_signal(2)
pub(crate) fn send_signal(pidfd: &OwnedFd, signal: i32) -> io::Result<()> {
    let (no_info, no_flags) = (std::ptr::null::<libc::siginfo_t>(), 0_u32);
    // SAFETY: a null siginfo_t asks the kernel to fill it in; no memory is passed.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, no_flags) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Arranges for `command`'s child to become another user before it executes.
///
/// The order is the kernel's: groups need CAP_SETGID, which goes with the user id. Each step is verified, for a failed
/// setuid that goes unnoticed runs the container's runtime as root.
pub(crate) fn switch_user_before_exec(command: &mut Command, uid: Uid, gid: Gid, groups: Vec<Gid>) {
    let become_user = move || {
        setgroups(&groups)?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        let regained = setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok();
        if regained || nix::unistd::getegid() != gid {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        Ok(())
    };
    // SAFETY: runs between fork and exec; setgroups, setresgid, setresuid and getegid are plain system calls
    // here (one thread), nothing allocates or locks.
    unsafe { command.pre_exec(become_user) };
}

/// Arranges for `command`'s child to be in a network namespace of its own before it executes. Called before
/// [`switch_user_before_exec`]: it takes rights.
pub(crate) fn leave_network_before_exec(command: &mut Command) {
    let leave = || unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
    // SAFETY: runs between fork and exec; one unshare(2), which takes no memory.
    unsafe { command.pre_exec(leave) };
}

/// The same into a network namespace that there is.
pub(crate) fn enter_network_before_exec(command: &mut Command, network: OwnedFd) {
    let enter = move || setns(&network, CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
    // SAFETY: runs between fork and exec; one setns(2) of a descriptor that the closure owns.
    unsafe { command.pre_exec(enter) };
}

/// Arranges for `command`'s child to have these limits, soft and hard, before it executes. Called before
/// [`switch_user_before_exec`]: to raise one takes the right to. Where that is missing (CAP_SYS_RESOURCE) a limit stays as
/// low as it is, which is what PID 1 does.
pub(crate) fn limit_before_exec(command: &mut Command, limits: Vec<(Resource, u64, u64)>) {
    let limit = move || {
        for (resource, soft, hard) in &limits {
            match setrlimit(*resource, *soft, *hard) {
                Err(nix::errno::Errno::EPERM) => {
                    let (_, highest) = getrlimit(*resource)?;
                    setrlimit(*resource, *soft.min(&highest), *hard.min(&highest))?;
                }
                other => other?,
            }
        }
        Ok(())
    };
    // SAFETY: runs between fork and exec; setrlimit(2) and getrlimit(2) of numbers that the closure owns, nothing allocates or locks.
    unsafe { command.pre_exec(limit) };
}

/// Ends this process the way the container's init ended, so that PID 1 sees its status and not ours.
pub(crate) fn die_of(signal: i32) -> ! {
    // A second core dump, of the helper, would only confuse.
    let _ = nix::sys::prctl::set_dumpable(false);
    // SAFETY: restores the default action and sends the signal to this process; no memory is involved.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    // A signal whose default is not to kill cannot have ended init; say what a shell would say.
    std::process::exit(128 + signal)
}

/// A datagram, and who sent it.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// Its bytes, or as many as there was room for.
    pub(crate) length: usize,
    /// It did not fit.
    pub(crate) is_cut: bool,
    /// As the kernel vouches for it, with SO_PASSCRED.
    pub(crate) sender: Option<i32>,
}

/// recvmsg(2), without blocking. The room for ancillary data is that of the sender's credentials, which come first:
/// descriptors sent along are closed by the kernel and never become ours, however many our limit would allow.
pub(crate) fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Datagram> {
    // CMSG_SPACE(sizeof(struct ucred)), aligned as a cmsghdr.
    let mut control = [0_u64; 4];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: msghdr is plain data for which all zeroes are valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = std::mem::size_of_val(&control) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: `message` points to `part`, `bytes` and `control`, which live through the call, with their true lengths.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let Ok(length) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has filled in `control` and its length; the header, if any, lies within it.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() };
    let of_sender = header
        .filter(|header| (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_CREDENTIALS));
    // SAFETY: the kernel writes credentials whole, and `control` has room for them.
    let sender =
        of_sender.map(|header| unsafe { libc::CMSG_DATA(header).cast::<libc::ucred>().read_unaligned() });
    let is_cut = message.msg_flags & libc::MSG_TRUNC != 0;
    Ok(Datagram { length, is_cut, sender: sender.map(|sender| sender.pid) })
}

/// Whether a pidfd's process has ended, or does within so many milliseconds.
pub(crate) fn ends_within(pidfd: &OwnedFd, milliseconds: u16) -> io::Result<bool> {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    Ok(retry(|| poll(&mut fds, PollTimeout::from(milliseconds)))? > 0)
}
