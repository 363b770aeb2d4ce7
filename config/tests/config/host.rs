// SPDX-License-Identifier: MIT OR Apache-2.0
//! The settings of the host, `/etc/ct/ct.toml`: runtimes, defaults below every container, and bad ones.

use std::fs;
use std::path::Path;

use crate::fake_root::{FakeRoot, MINIMAL, short};
use ct_config::container::RootSource;
use ct_config::host::Parallel;
use ct_config::settings::Value;
use ct_config::value::Size;

#[test]
fn the_settings_of_the_host() {
    let root = FakeRoot::new("host");
    let parallel = |text: &str| {
        root.write("/etc/ct/ct.toml", text);
        let (host, problems) = root.host();
        (host.parallel, problems.iter().map(short).collect::<Vec<_>>())
    };
    assert_eq!(parallel(""), (Parallel::Auto, vec![]));
    assert_eq!(parallel("[autostart]\nparallel = \"auto\""), (Parallel::Auto, vec![]));
    assert_eq!(parallel("[autostart]\nparallel = 0"), (Parallel::Unlimited, vec![]));
    assert_eq!(parallel("[autostart]\nparallel = 8"), (Parallel::AtMost(8), vec![]));
    let want = "ct.toml:2:12: autostart.parallel: \"-1\" is neither a number nor \"auto\"";
    assert_eq!(parallel("[autostart]\nparallel = -1"), (Parallel::Auto, vec![want.to_owned()]));
    root.write("/etc/ct/ct.toml.d/x.toml", "autostart.parallel = 3");
    assert_eq!(parallel("[autostart]\nparallel = 8"), (Parallel::AtMost(3), vec![]));
}

#[test]
fn named_runtimes() {
    let root = FakeRoot::new("runtimes");
    root.write(
        "/etc/ct/ct.toml",
        "[runtimes]\nnew = \"/opt//crun\"\n[runtimes.runc]\npath = \"/opt/runc\"\narguments = [\"--debug\"]\n\
         [runtimes.bad]\npath = \"x\"\n[runtimes.worse]\narguments = []\n[runtimes.\"a b\"]\npath = \"/x\"\n\
         [runtimes.odd]\npath = \"/x\"\nargs = []\n",
    );
    let problems: Vec<String> = root.host().1.iter().map(short).collect();
    let want = [
        "ct.toml:6:1: runtimes.bad: \"x\" is not an absolute path",
        "ct.toml:8:1: runtimes.worse: path is missing",
        "ct.toml:10:11: runtimes: \"a b\" is not a name for a runtime",
        "ct.toml:14:1: runtimes.odd: unknown key `args`",
    ];
    assert_eq!(problems, want);
    let runtime = |name: &str| {
        root.only(&format!("runtime = \"{name}\"\n{MINIMAL}")).map(|container| container.runtime)
    };
    assert_eq!(runtime("new").unwrap().program, Path::new("/opt/crun"));
    assert_eq!(runtime("runc").unwrap().arguments, ["--debug"]);
    assert_eq!(runtime("runc").unwrap().program, Path::new("/opt/runc"));
    assert_eq!(runtime("crun").unwrap().program, Path::new("crun"));
    assert!(
        runtime("bad").unwrap_err()[0]
            .contains("\"bad\" is neither crun, runc, youki, runsc, lxc, one of [runtimes]")
    );
}

#[test]
fn defaults_are_below_every_container() {
    let root = FakeRoot::new("defaults");
    root.write(
        "/etc/ct/ct.toml",
        "[defaults]\nslice = \"all.slice\"\ndescription = \"none\"\nroot.path = \"/srv/default\"\n\
         [defaults.resources]\nmemory_max = \"1K\"\ntasks_max = 5\n[[defaults.mount]]\ntarget = \"/a\"\nsource = \"/1\"\n",
    );
    root.write(
        "/etc/ct/ct.toml.d/a.toml",
        "defaults.resources.tasks_max = 6\n[[defaults.mount]]\ntarget = \"/b\"\nsource = \"/2\"\n",
    );
    let text = "description = \"mine\"\nroot.layers = [\"a\"]\n[resources]\nmemory_max = \"2K\"\n\
                [[mount]]\ntarget = \"/a\"\nsource = \"/3\"\n";
    let web = root.only(text).unwrap();
    assert!(root.host().1.is_empty());
    assert_eq!(web.slice.as_str(), "all.slice");
    assert_eq!(web.description.as_deref(), Some("mine"));
    assert!(matches!(web.root.source, RootSource::Layers(_)));
    let values: Vec<&Value> = web.resources.iter().map(|property| &property.value).collect();
    assert_eq!(values, [&Value::Size(Size::Finite(2048)), &Value::Count(Size::Finite(6))]);
    let sources: Vec<&Path> = web.mounts.iter().map(|mount| mount.source.as_path()).collect();
    assert_eq!(sources, [Path::new("/3"), Path::new("/2")]);
    assert_eq!(web.files, [Path::new("/etc/ct/containers/web.toml")]);
    assert!(root.only("").is_ok(), "the defaults name a root");
}

#[test]
fn bad_defaults_are_told_where_they_stand() {
    let root = FakeRoot::new("bad-defaults");
    root.write(
        "/etc/ct/ct.toml",
        "[defaults]\nslce = 1\nhostname = \"-\"\n[defaults.limits]\nnofile = true\n",
    );
    let problems: Vec<String> = root.host().1.iter().map(short).collect();
    let unknown = "ct.toml:2:1: defaults: unknown key `slce` (did you mean `slice`?)";
    let kind = "ct.toml:5:10: defaults.limits.nofile: must be a string or a whole number, not true";
    assert_eq!(problems, [unknown, kind]);
    let name = "ct.toml:3:12: defaults.hostname: \"-\" is not a host name";
    assert_eq!(root.only(MINIMAL).unwrap_err(), [unknown, name, kind]);
    let mine = root.only(&format!("hostname = \"a\"\nlimits.nofile = 64\n{MINIMAL}")).unwrap_err();
    assert_eq!(mine, [unknown], "what is overridden does no harm");
}

/// The defaults may be what limits every container: without them, none.
#[test]
fn unreadable_settings_of_the_host_break_every_container() {
    let root = FakeRoot::new("fatal");
    let cases = [
        ("[defaults\n", "ct.toml:1:10: "),
        ("[defaults\nhostname = \"-\"\nslce = 1\n", "ct.toml:1:10: "),
        ("[defualts]\nslice = \"a.slice\"\n", "ct.toml:1:2: unknown key `defualts`"),
        ("defaults = 3\n", "ct.toml:1:12: [defaults] must be a table"),
    ];
    for (text, want) in cases {
        root.write("/etc/ct/ct.toml", text);
        let problems: Vec<String> = root.host().1.iter().map(short).collect();
        assert!(problems.len() == 1 && problems[0].starts_with(want), "{problems:#?}");
        assert_eq!(root.only(MINIMAL).unwrap_err(), problems);
    }
    fs::remove_file(root.path("/etc/ct/ct.toml")).unwrap();
    root.link("/etc/ct/ct.toml", "/nonexistent");
    let want = ["ct.toml: cannot open the file: No such file or directory (os error 2)"];
    assert_eq!(root.only(MINIMAL).unwrap_err(), want);
}
