// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pods: what a pod's file may say, what its members may not, and which unit settings both become.

use std::path::PathBuf;

use crate::fake_root::{FakeRoot, MINIMAL};
use ct_config::container::Network;
use ct_config::name::PodName;
use ct_config::pod::{Pod, Pods, Share};
use ct_config::settings::{Value, pod_settings, unit_settings};

fn load(root: &FakeRoot, name: &str) -> Result<Pod, Vec<String>> {
    let pods = Pods::scan(&root.path("/"));
    let found = pods.find(&PodName::parse(name).unwrap()).unwrap_or_else(|| panic!("there is no {name}"));
    let short = |line: String| line.replace("/etc/ct/pods/", "");
    found.clone().map_err(|broken| broken.problems.iter().map(|problem| short(problem.to_string())).collect())
}

/// The pod of one file.
fn only(root: &FakeRoot, text: &str) -> Result<Pod, Vec<String>> {
    root.write("/etc/ct/pods/shop.toml", text);
    load(root, "shop")
}

#[test]
fn an_empty_file_is_a_pod_that_shares_everything() {
    let root = FakeRoot::new("empty-pod");
    let pod = only(&root, "").unwrap();
    assert_eq!(pod.share, Share { net: true, ipc: true, uts: true });
    assert_eq!((pod.hostname.as_str(), &pod.network, pod.description), ("shop", &Network::None, None));
    assert_eq!(
        (pod.name.unit().as_str(), pod.name.slice().as_str()),
        ("ct-pod@shop.service", "ct-shop.slice")
    );
    assert!(pod.resources.is_empty());
}

#[test]
fn every_key_of_a_pod_has_its_effect() {
    let root = FakeRoot::new("full-pod");
    let text = "description = \"The shop\"\nhostname = \"shop-1\"\nshare = [\"uts\", \"net\"]\n\
                network.mode = \"ns:/run/netns/x\"\nresources.memory_max = \"1K\"\n";
    let pod = only(&root, text).unwrap();
    assert_eq!(pod.share, Share { net: true, ipc: false, uts: true });
    assert_eq!(pod.network, Network::Namespace(PathBuf::from("/run/netns/x")));
    let settings = pod_settings(&pod);
    let names = |list: &[ct_config::settings::Property]| list.iter().map(|p| p.name).collect::<Vec<_>>();
    assert_eq!(names(&settings.unit), ["SourcePath", "Description"]);
    assert_eq!(names(&settings.service), ["Environment"]);
    assert_eq!(names(&settings.slice), ["MemoryMax"]);
    assert!(!only(&root, "share = []").unwrap().pins_any());
    let host = only(&root, "share = [\"net\"]\nnetwork.mode = \"host\"").unwrap();
    assert!(!host.pins_any() && host.share.net);
}

#[test]
fn all_that_is_wrong_with_a_pod_is_said_at_once() {
    let root = FakeRoot::new("bad-pod");
    let text = "slice = \"x\"\nhostname = \"a b\"\nshare = [\"nte\"]\n[network]\nmode = \"host\"\n[resources]\nx = 1\n";
    let want = [
        "shop.toml:1:1: unknown key `slice`",
        "shop.toml:2:12: hostname: \"a b\" is not a host name",
        "shop.toml:3:10: share: \"nte\" is not one of \"net\", \"ipc\", \"uts\" (did you mean \"net\"?)",
        "shop.toml:7:1: resources: unknown key `x`",
    ];
    assert_eq!(only(&root, text).unwrap_err(), want);
    let want = [
        "shop.toml:2:12: hostname: has no effect, the members share no host name (add \"uts\" to share)",
        "shop.toml:3:16: network.mode: has no effect, the members share no network (add \"net\" to share)",
    ];
    let text = "share = [\"ipc\"]\nhostname = \"x\"\nnetwork.mode = \"host\"";
    assert_eq!(only(&root, text).unwrap_err(), want);
    let alone = "user = \"ct-web\"\nshare = []";
    let want = "shop.toml:1:8: user: has no effect, the members share no namespaces";
    assert_eq!(only(&root, alone).unwrap_err(), [want]);
    let path = "user = \"ct-web\"\nnetwork.mode = \"ns:/run/netns/x\"";
    let want = "shop.toml:1:8: user: /run/netns/x is root's, and cannot be joined with other ids";
    assert_eq!(only(&root, path).unwrap_err(), [want]);
    assert_eq!(
        only(&root, "share = \"net\"").unwrap_err(),
        ["shop.toml:1:9: share: must be a list, not the string \"net\""]
    );
    assert_eq!(only(&root, "share = [\n").unwrap_err().len(), 1, "a syntax error and nothing else");
}

#[test]
fn pods_have_drop_ins_masks_and_a_search_path_as_containers_have() {
    let root = FakeRoot::new("pod-files");
    root.write("/usr/lib/ct/pods/shop.toml", "hostname = \"lib\"\nresources.tasks_max = 1");
    root.write("/run/ct/pods/shop.toml.d/a.toml", "hostname = \"drop-in\"");
    root.write("/usr/lib/ct/pods/away.toml", "");
    root.link("/etc/ct/pods/away.toml", "/dev/null");
    let pod = load(&root, "shop").unwrap();
    assert_eq!((pod.hostname.as_str(), pod.resources.len(), pod.files.len()), ("drop-in", 1, 2));
    let first = pod.digest.clone();
    root.write("/etc/ct/pods/shop.toml", "hostname = \"etc\"");
    let pod = load(&root, "shop").unwrap();
    assert_eq!((pod.hostname.as_str(), pod.resources.len()), ("drop-in", 0));
    assert_ne!(pod.digest, first);
    let pods = Pods::scan(&root.path("/"));
    let away = PodName::parse("away").unwrap();
    assert!(pods.find(&away).is_none());
    assert!(pods.unknown(&away).0.contains("is masked"), "{:?}", pods.unknown(&away));
    let (reason, hint) = pods.unknown(&PodName::parse("shpo").unwrap());
    assert!(reason.contains("/etc/ct/pods/shpo.toml"), "{reason}");
    assert_eq!(hint.as_deref(), Some("did you mean shop?"));
}

#[test]
fn names_of_pods_are_names_of_slices() {
    for good in ["shop", "shop-db", "A.b_c", "pods", "1"] {
        assert!(PodName::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "shop-", "a--b", "-a", "a/b", "a..b", ".a", &"x".repeat(64)] {
        assert!(PodName::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_member_is_in_the_pods_slice_and_requires_its_unit() {
    let root = FakeRoot::new("member");
    let container = root.only(&format!("pod = \"shop\"\n{MINIMAL}[depends]\nrequires = [\"db\"]")).unwrap();
    assert_eq!(container.slice.as_str(), "ct-shop.slice");
    let settings = unit_settings(&container);
    for name in ["Requires", "After"] {
        let property = settings.unit.iter().find(|property| property.name == name).unwrap();
        let Value::Units(units) = &property.value else { panic!("{property:?}") };
        let units: Vec<&str> = units.iter().map(|unit| unit.as_str()).collect();
        assert_eq!(units, ["ct-pod@shop.service", "ct@db.service"], "{name}");
    }
}

#[test]
fn what_the_defaults_say_gives_way_to_the_pod_but_not_the_account() {
    let root = FakeRoot::new("member-defaults");
    root.write("/etc/ct/pods/shop.toml", "");
    root.write(
        "/etc/ct/ct.toml",
        "[defaults]\nslice = \"ct-x.slice\"\nhostname = \"x\"\nnetwork.mode = \"host\"\n",
    );
    let member = format!("pod = \"shop\"\n{MINIMAL}");
    let container = root.only(&member).unwrap();
    let pods = Pods::scan(&root.path("/"));
    assert_eq!(container.slice.as_str(), "ct-shop.slice");
    assert!(pods.join(&container).unwrap().is_some());
    root.write("/etc/ct/ct.toml", "[defaults]\nuser = \"ct-web\"\n");
    let container = root.only(&member).unwrap();
    let reasons: Vec<String> = pods.join(&container).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].starts_with("/etc/ct/ct.toml:2:8: user: "), "{reasons:?}");
}

#[test]
fn what_only_some_pods_allow_is_checked_against_the_pod() {
    let root = FakeRoot::new("member-conflicts");
    let container = root
        .only(&format!(
            "pod = \"shop\"\nhostname = \"own\"\nuser = \"ct-web\"\nnetwork.mode = \"none\"\n{MINIMAL}"
        ))
        .unwrap();
    let keys = |share: &str| {
        only(&root, &format!("share = {share}")).unwrap();
        match Pods::scan(&root.path("/")).join(&container) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().filter_map(|problem| problem.key).collect(),
        }
    };
    assert_eq!(keys("[\"net\", \"ipc\", \"uts\"]"), ["hostname", "user", "network.mode"]);
    assert_eq!(keys("[\"uts\"]"), ["hostname", "user"]);
    assert_eq!(keys("[\"net\"]"), ["user", "network.mode"]);
    let reasons = |toml: &str, own: &str| -> Vec<String> {
        only(&root, toml).unwrap_or_else(|reasons| panic!("{toml}: {reasons:?}"));
        let container = root.only(&format!("pod = \"shop\"\n{own}\n{MINIMAL}")).unwrap();
        match Pods::scan(&root.path("/")).join(&container) {
            Ok(_) => Vec::new(),
            Err(problems) => {
                problems.iter().map(|p| p.to_string().replace("/etc/ct/containers/", "")).collect()
            }
        }
    };
    let idmap = "idmap = { uid = [[0, 1000, 9]], gid = [[0, 1000, 9]] }";
    assert_eq!(reasons("user = \"ct-web\"", "user = \"ct-web\""), Vec::<String>::new());
    assert_eq!(reasons("user = \"root\"", ""), Vec::<String>::new());
    assert_eq!(reasons("", idmap), Vec::<String>::new(), "root joins before it enters its own");
    let want = "web.toml:1:7: pod: root cannot join the namespaces of the pod shop, which are ct-web's \
                (set user = \"ct-web\" here, or user = \"root\" in the pod)";
    assert_eq!(reasons("user = \"ct-web\"", ""), [want]);
    let want =
        "web.toml:2:17: idmap: the members of the pod shop share one user namespace (set [idmap] in the pod)";
    assert_eq!(reasons(idmap, idmap), [want]);
    assert_eq!(keys("[]"), Vec::<String>::new(), "a slice is all that is left to share");
}
