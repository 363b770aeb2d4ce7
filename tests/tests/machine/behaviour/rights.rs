// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a container may use, and as whom.

use super::runtime_under_test::{Container, PLAIN, RuntimeUnderTest};

pub(crate) const LIMITS: &[Container] = &[Container {
    name: "limits",
    script: "echo \"limits $(ulimit -Sn) $(ulimit -Hn) $(ulimit -Hc)\"; trap 'exit 0' TERM; touch /shared/up; sleep 1000 & wait",
    tables: "[oom]\nscore_adjust = 300\n[limits]\nnofile = \"512:1024\"\ncore = 0\n[resources]\ntasks_max = 123\n",
    ..PLAIN
}];

/// Every process has the oom score, and the container the limits; also what is run in it later.
pub(crate) fn has_its_limits(tried: &RuntimeUnderTest) {
    let (machine, name, unit) = (tried.machine, tried.name("limits"), tried.unit("limits"));
    tried.start("limits");
    assert_eq!(machine.show(&unit, "TasksMax"), "123");
    let scores = tried.of_each_process("limits", "cat /proc/$pid/oom_score_adj");
    assert!(!scores.is_empty() && scores.iter().all(|score| score == "300"), "{scores:?}");
    let journal = machine.journal(&unit);
    assert!(journal.lines().any(|line| line == "limits 512 1024 0"), "{journal}");
    // Not the soft one: runc 1.1.5 raises it now and then.
    let later = machine.run(["ctctl", "exec", &name, "--", "sh", "-c", "ulimit -Hn; ulimit -Hc"]).succeeds();
    assert_eq!(later.stdout, "1024\n0\n", "of what is executed in it");
}

pub(crate) const ACCOUNT: &[Container] =
    &[Container { name: "account", keys: "user = \"ct-web\"\n", ..PLAIN }];

/// Nothing of it is root's outside, and it is root inside.
pub(crate) fn runs_through_an_account(tried: &RuntimeUnderTest) {
    let (machine, name, unit) = (tried.machine, tried.name("account"), tried.unit("account"));
    tried.start("account");
    let owners = tried.of_each_process("account", "stat --format=%u /proc/$pid");
    assert!(
        !owners.is_empty() && owners.iter().all(|owner| owner != "0"),
        "none should be root's: {owners:?}"
    );
    let made = machine.run(["stat", "--format=%u", &tried.shared("account", "up")]).succeeds().stdout;
    assert_ne!(made, "0\n", "what it makes should not be root's");
    assert_eq!(machine.run(["ctctl", "exec", &name, "--", "id", "-u"]).succeeds().stdout, "0\n");
    machine.stop(&unit);
    tried.ended("account", "inactive", "success", 0);
}
