// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system-call filter in LXC's own words (lxc.container.conf(5), "SECCOMP CONFIGURATION", version 2): a list of what is
//! refused, or of what is allowed, with what happens to all else in its second line.

use std::fmt::Write;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSyscall};

use crate::exit::Error;

/// The filter as a file of LXC's.
pub(super) fn render(filter: &LinuxSeccomp) -> Result<String, Error> {
    let default = filter.default_action();
    let list = match default {
        LinuxSeccompAction::ScmpActAllow => "denylist".to_owned(),
        other => format!("allowlist {}", action(other, filter.default_errno_ret())?),
    };
    let mut text = format!("2\n{list}\n[all]\n");
    for rule in filter.syscalls().iter().flatten() {
        // What happens anyhow; for LXC a rule is a departure from it.
        if rule.action() == default && rule.errno_ret() == filter.default_errno_ret() {
            continue;
        }
        for name in rule.names() {
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(Error::ConfigText(format!("security.seccomp: {name:?} is no system call")));
            }
            let done = action(rule.action(), rule.errno_ret())?;
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name} {done}{}", arguments(rule)?);
        }
    }
    Ok(text)
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<String, Error> {
    Ok(match action {
        LinuxSeccompAction::ScmpActAllow => "allow".to_owned(),
        LinuxSeccompAction::ScmpActErrno => {
            format!("errno {}", errno.unwrap_or(libc::EPERM.unsigned_abs()))
        }
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => "kill".to_owned(),
        LinuxSeccompAction::ScmpActTrap => "trap".to_owned(),
        other => {
            return Err(Error::ConfigText(format!("security.seccomp: LXC has no action like {other:?}")));
        }
    })
}

/// ` [INDEX,VALUE,OPERATOR,SECOND]`, one after the other.
fn arguments(rule: &LinuxSyscall) -> Result<String, Error> {
    rule.args().iter().flatten().map(argument).collect()
}

fn argument(argument: &LinuxSeccompArg) -> Result<String, Error> {
    use oci_spec::runtime::LinuxSeccompOperator::{
        ScmpCmpEq, ScmpCmpGe, ScmpCmpGt, ScmpCmpLe, ScmpCmpLt, ScmpCmpMaskedEq, ScmpCmpNe,
    };
    let operator = match argument.op() {
        ScmpCmpNe => "SCMP_CMP_NE",
        ScmpCmpLt => "SCMP_CMP_LT",
        ScmpCmpLe => "SCMP_CMP_LE",
        ScmpCmpEq => "SCMP_CMP_EQ",
        ScmpCmpGe => "SCMP_CMP_GE",
        ScmpCmpGt => "SCMP_CMP_GT",
        ScmpCmpMaskedEq => "SCMP_CMP_MASKED_EQ",
    };
    // LXC's first value is what is compared with, and the second the mask; the specification has them the other way round.
    let (value, second) = match argument.op() {
        ScmpCmpMaskedEq => (argument.value_two().unwrap_or_default(), argument.value()),
        _ => (argument.value(), 0),
    };
    Ok(format!(" [{},{value},{operator},{second}]", argument.index()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::default_filter;

    #[test]
    fn the_default_filter_is_a_list_of_what_is_refused() {
        let text = render(&default_filter(&[]).unwrap()).unwrap();
        assert!(text.starts_with("2\ndenylist\n[all]\n"), "{text}");
        for line in
            ["mount errno 1", "clone3 errno 38", "socket errno 1 [0,40,SCMP_CMP_MASKED_EQ,4294967295]"]
        {
            assert!(text.lines().any(|rule| rule == line), "{line}\n{text}");
        }
    }

    #[test]
    fn what_lxc_has_no_words_for_is_refused() {
        let filter = |rule: &str| -> LinuxSeccomp {
            let text = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{rule}]}}"#);
            serde_json::from_str(&text).unwrap()
        };
        let allowed = render(&filter(r#"{"names":["read"],"action":"SCMP_ACT_ALLOW"}"#)).unwrap();
        assert_eq!(allowed, "2\nallowlist errno 1\n[all]\nread allow\n");
        assert!(render(&filter(r#"{"names":["read"],"action":"SCMP_ACT_NOTIFY"}"#)).is_err());
        assert!(render(&filter(r#"{"names":["read allow\\nx"],"action":"SCMP_ACT_ALLOW"}"#)).is_err());
    }
}
