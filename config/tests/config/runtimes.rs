// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a config says that its runtime cannot do, where that is more than one key alone.

use ct_config::pod::Pods;

use crate::fake_root::{FakeRoot, MINIMAL};

const REASON: &str = "lxc cannot: through an account its command socket would be in the host's network, where root of any \
                      other container could use it (crun can, and so can lxc without `user`)";

/// What is wrong with the container `web` of this text, alone or as a member.
fn wrong(root: &FakeRoot, text: &str) -> Vec<String> {
    let container = match root.only(text) {
        Ok(container) => container,
        Err(reasons) => return reasons,
    };
    let joined = Pods::scan(&root.path("/")).join(&container).map(drop);
    joined.map_or_else(|wrong| wrong.iter().map(ToString::to_string).collect(), |()| Vec::new())
}

#[test]
fn lxc_takes_no_account_to_the_hosts_network() {
    let root = FakeRoot::new("lxc-host-network");
    let lxc = format!("runtime = \"lxc\"\nuser = \"ct-web\"\n{MINIMAL}");
    let host = "[network]\nmode = \"host\"\n";
    assert_eq!(wrong(&root, &format!("{lxc}{host}")), [format!("web.toml:9:8: network.mode: {REASON}")]);
    // Each of the three is needed.
    assert!(wrong(&root, &lxc).is_empty());
    for other in
        [format!("runtime = \"lxc\"\n{MINIMAL}{host}"), format!("user = \"ct-web\"\n{MINIMAL}{host}")]
    {
        assert!(wrong(&root, &other).is_empty(), "{other}");
    }
    // A member is where its pod is.
    let member = format!("pod = \"shop\"\n{lxc}");
    for (pod, refused) in [
        ("network.mode = \"host\"\nshare = [\"net\"]\n", true),
        ("share = [\"net\"]\nuser = \"ct-web\"\n", false),
    ] {
        root.write("/etc/ct/pods/shop.toml", pod);
        let want = refused.then(|| format!("/etc/ct/containers/web.toml:1:7: pod: {REASON}"));
        assert_eq!(wrong(&root, &member), Vec::from_iter(want), "{pod}");
    }
    root.write("/etc/ct/pods/shop.toml", "share = [\"ipc\"]\nuser = \"ct-web\"\n");
    assert!(wrong(&root, &member).is_empty());
    let want = format!("/etc/ct/containers/web.toml:10:8: network.mode: {REASON}");
    assert_eq!(wrong(&root, &format!("{member}{host}")), [want]);
}
