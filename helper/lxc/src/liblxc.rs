// SPDX-License-Identifier: MIT OR Apache-2.0
//! liblxc as it is called from here: lxc/lxccontainer.h and lxc/attach_options.h, version 5. The library promises to
//! append to its structures only; what stands before is the same in 6.
//!
//! The only file of this program with unsafe code.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::ptr::{NonNull, null, null_mut};

use libloading::Library;

/// The library's name for as long as its interface is this one.
const SONAME: &str = "liblxc.so.1";

/// The oldest version that has been tried.
const OLDEST: u32 = 5;

/// Signals that are this process's own affair: its faults, its children, being stopped, and what LXC does
/// not pass on.
const KEPT: [c_int; 14] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGSYS,
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGPIPE,
    libc::SIGWINCH,
];

/// Functions that are not called from here.
type Skipped<const COUNT: usize> = [*const c_void; COUNT];

/// struct lxc_container, to the last member that is used.
#[repr(C)]
struct Raw {
    names: [*mut c_char; 3],
    locks: [*mut c_void; 2],
    numthreads: c_int,
    conf: *mut c_void,
    error_string: *mut c_char,
    error_num: c_int,
    daemonize: bool,
    config_path: *mut c_char,
    is_defined_to_init_pid: Skipped<6>,
    load_config: unsafe extern "C" fn(*mut Raw, *const c_char) -> bool,
    start: unsafe extern "C" fn(*mut Raw, c_int, *const *const c_char) -> bool,
    startl_to_wait: Skipped<6>,
    set_config_item: unsafe extern "C" fn(*mut Raw, *const c_char, *const c_char) -> bool,
    destroy_to_console: Skipped<21>,
    attach: unsafe extern "C" fn(*mut Raw, Entry, *mut c_void, *mut RawOptions, *mut libc::pid_t) -> c_int,
}

/// What runs inside: lxc_attach_exec_t.
type Entry = unsafe extern "C" fn(*mut c_void) -> c_int;

/// lxc_attach_options_t
#[repr(C)]
struct RawOptions {
    attach_flags: c_int,
    namespaces: c_int,
    personality: c_long,
    initial_cwd: *mut c_char,
    uid: libc::uid_t,
    gid: libc::gid_t,
    env_policy: c_int,
    extra_env_vars: *mut *mut c_char,
    extra_keep_env: *mut *mut c_char,
    stdin_fd: c_int,
    stdout_fd: c_int,
    stderr_fd: c_int,
    log_fd: c_int,
    lsm_label: *mut c_char,
    groups_count: usize,
    groups: *const libc::gid_t,
}

/// struct lxc_log
#[repr(C)]
struct RawLog {
    name: *const c_char,
    lxcpath: *const c_char,
    file: *const c_char,
    level: *const c_char,
    prefix: *const c_char,
    quiet: bool,
}

// LXC_ATTACH_*. Not among them: the move to the container's control group. The caller is in the right one.
const DROP_CAPABILITIES: c_int = 0x0002;
const SET_PERSONALITY: c_int = 0x0004;
const LSM_EXEC: c_int = 0x0008;
const NO_NEW_PRIVS: c_int = 0x0004_0000;
const SETGROUPS: c_int = 0x0020_0000;
const CLEAR_ENV: c_int = 1;
const ALL_NAMESPACES: c_int = -1;
const DETECT_PERSONALITY: c_long = -1;

/// Who a command inside is, in the container's own numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) no_new_privileges: bool,
}

/// The library, loaded.
#[derive(Debug)]
pub(crate) struct Liblxc {
    library: Library,
}

/// A container as the library sees it.
pub(crate) struct Container {
    raw: NonNull<Raw>,
    // Until nobody calls into it any more.
    _library: Liblxc,
}

impl Liblxc {
    pub(crate) fn load() -> Result<Self, String> {
        // SAFETY: its initialisers are those of a library that is meant to be linked to any program.
        let library = unsafe { Library::new(SONAME) }
            .map_err(|error| format!("cannot load LXC's library, is LXC installed? {error}"))?;
        let library = Self { library };
        library.check_version()?;
        Ok(library)
    }

    fn check_version(&self) -> Result<(), String> {
        // SAFETY: const char *lxc_get_version(void), a string of the library's own.
        let version = unsafe {
            let function = self.symbol::<unsafe extern "C" fn() -> *const c_char>("lxc_get_version")?;
            CStr::from_ptr(function()).to_string_lossy().into_owned()
        };
        let major = version.split('.').next().and_then(|major| major.parse().ok());
        if major.is_some_and(|major: u32| major >= OLDEST) {
            return Ok(());
        }
        Err(format!("LXC {version} is older than {OLDEST}"))
    }

    /// Has the library write its errors to a file, and nothing to standard error.
    pub(crate) fn log_to(&self, file: &CStr, name: &CStr) -> Result<(), String> {
        let mut log = RawLog {
            name: name.as_ptr(),
            lxcpath: null(),
            file: file.as_ptr(),
            level: c"ERROR".as_ptr(),
            prefix: c"ct".as_ptr(),
            quiet: true,
        };
        // SAFETY: int lxc_log_init(struct lxc_log *), which copies what it keeps.
        let status = unsafe {
            self.symbol::<unsafe extern "C" fn(*mut RawLog) -> c_int>("lxc_log_init")?(&raw mut log)
        };
        if status == 0 { Ok(()) } else { Err(format!("cannot log to {}", file.to_string_lossy())) }
    }

    /// The container of this name below `path`.
    pub(crate) fn container(self, name: &CStr, path: &CStr) -> Result<Container, String> {
        // SAFETY: struct lxc_container *lxc_container_new(const char *, const char *), which copies both.
        let raw = unsafe {
            type New = unsafe extern "C" fn(*const c_char, *const c_char) -> *mut Raw;
            self.symbol::<New>("lxc_container_new")?(name.as_ptr(), path.as_ptr())
        };
        let raw = NonNull::new(raw).ok_or("LXC does not take the container")?;
        Ok(Container { raw, _library: self })
    }

    /// A function of the library, to be called as its header has it.
    ///
    /// # Safety
    ///
    /// `F` is the function's own type.
    unsafe fn symbol<F: Copy>(&self, name: &str) -> Result<F, String> {
        // SAFETY: the caller's.
        let symbol = unsafe { self.library.get::<F>(name.as_bytes()) };
        symbol.map(|symbol| *symbol).map_err(|error| error.to_string())
    }
}

impl Container {
    pub(crate) fn load_config(&mut self, file: &CStr) -> Result<(), String> {
        let raw = self.raw.as_ptr();
        // SAFETY: `raw` is a live container; the path is copied.
        let loaded = unsafe { ((*raw).load_config)(raw, file.as_ptr()) };
        if loaded { Ok(()) } else { Err("LXC does not take its config".to_owned()) }
    }

    /// Sets an item of its config, or adds one more to a list.
    pub(crate) fn set_config(&mut self, key: &CStr, value: &CStr) -> Result<(), String> {
        let raw = self.raw.as_ptr();
        // SAFETY: `raw` is a live container; both are copied.
        let set = unsafe { ((*raw).set_config_item)(raw, key.as_ptr(), value.as_ptr()) };
        if set { Ok(()) } else { Err(format!("LXC does not take {}", key.to_string_lossy())) }
    }

    /// Starts it in the foreground and stays until it has ended; how its init did, as `error_num` has it, or `None` when it
    /// was not started at all.
    pub(crate) fn start(&mut self, command: &[CString]) -> Option<i32> {
        let mut argv: Vec<*const c_char> = command.iter().map(|word| word.as_ptr()).collect();
        argv.push(null());
        let raw = self.raw.as_ptr();
        // SAFETY: `raw` is a live container, argv ends with a null and outlives the call.
        unsafe {
            (*raw).daemonize = false;
            ((*raw).start)(raw, 0, argv.as_ptr()).then(|| (*raw).error_num)
        }
    }

    /// Has `inside` run in a new process inside the container, a child of this one; its pid. `inside` does not come back.
    pub(crate) fn attach(
        &mut self,
        credentials: &Credentials,
        inside: &mut dyn FnMut() -> i32,
    ) -> Option<i32> {
        let no_new_privileges = if credentials.no_new_privileges { NO_NEW_PRIVS } else { 0 };
        let mut options = RawOptions {
            attach_flags: DROP_CAPABILITIES | SET_PERSONALITY | LSM_EXEC | SETGROUPS | no_new_privileges,
            namespaces: ALL_NAMESPACES,
            personality: DETECT_PERSONALITY,
            initial_cwd: null_mut(),
            uid: credentials.uid,
            gid: credentials.gid,
            env_policy: CLEAR_ENV,
            extra_env_vars: null_mut(),
            extra_keep_env: null_mut(),
            stdin_fd: 0,
            stdout_fd: 1,
            stderr_fd: 2,
            log_fd: -libc::EBADF,
            lsm_label: null_mut(),
            groups_count: credentials.groups.len(),
            groups: credentials.groups.as_ptr(),
        };
        let mut inside = inside;
        let mut pid = -1;
        let raw = self.raw.as_ptr();
        // SAFETY: `raw` is a live container; options, groups and payload live longer than the call, and the process
        // that gets the payload has a copy of this one's memory.
        let status = unsafe {
            let payload = (&raw mut inside).cast::<c_void>();
            ((*raw).attach)(raw, enter, payload, &raw mut options, &raw mut pid)
        };
        (status == 0 && pid > 1).then_some(pid)
    }
}

/// lxc_attach_exec_t of [`Container::attach`].
unsafe extern "C" fn enter(payload: *mut c_void) -> c_int {
    // SAFETY: what `attach` gave to the library, in a copy of that process.
    let inside = unsafe { &mut *payload.cast::<&mut dyn FnMut() -> i32>() };
    inside()
}

/// Undoes what Rust's own start does to SIGPIPE (signal(7)): to ignore it would be inherited by the container.
pub(crate) fn default_sigpipe() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Has a signal do again what the kernel does by itself, as Rust's own handlers of SIGSEGV and SIGBUS do not.
pub(crate) fn default_action(signal: c_int) {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Has a signal that LXC would pass on do nothing where LXC does not, before it takes them from a descriptor and when it no
/// longer does. A handler and not SIG_IGN: execve(2) puts the default back for init.
pub(crate) fn outlive_signals() {
    extern "C" fn nothing(_signal: c_int) {}
    for signal in 1..=libc::SIGRTMAX() {
        if !KEPT.contains(&signal) {
            let handler = nothing as extern "C" fn(c_int) as libc::sighandler_t;
            // SAFETY: the handler does nothing, hence nothing that a handler may not do. For SIGKILL, SIGSTOP and the C
            // library's own signals the call fails.
            unsafe { libc::signal(signal, handler) };
        }
    }
}

/// Has execve(2) close all descriptors but the standard ones.
pub(crate) fn close_on_exec_above_stderr() {
    // SAFETY: no descriptor is closed now.
    unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
}
