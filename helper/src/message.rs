// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kinds of line that the helper logs, each with an id of its own: the journal field `MESSAGE_ID=`.
//!
//! An id never changes and never means anything else: programs search by it, and `journalctl --catalog` explains a
//! line by it (packaging/catalog/ct.catalog, see <https://systemd.io/CATALOG>). New ids are made by
//! `systemd-id128 new`.

/// The table: one line for each kind.
macro_rules! messages {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal;)+) => {
        /// What a line of the helper is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Message {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Message {
            /// Every kind, in the order of the table.
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name),+];

            /// 128 random bits in hexadecimal digits, see sd-id128(3).
            pub(crate) fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }
        }
    };
}

messages! {
    // Failures, each the end of a start.
    /// The helper was run by hand, by another unit, or with another `Type=`.
    NotItsUnit = "f0b5e98ffc5345b494ec6a9fffb46db9";
    /// The run-time directory is locked.
    AlreadyStarting = "46d2efcc67b44e4eb4b67368bf2f1524";
    /// The root file system keeps what is written to it, and the container or a run of it has it.
    RootInUse = "18e8d8c3f34b4a29b4817432a3b27fe2";
    /// cgroup2 is not at /sys/fs/cgroup.
    NoUnifiedHierarchy = "537ff3ce7e9a4d9890b0be19f49ff794";
    /// The config, or a file it stands for, says what it cannot mean.
    ConfigBroken = "9d26c69a2e0a45dba3e5af79512196ff";
    /// `systemctl start ct@typo`
    ConfigUnknown = "a1c4b46356484478810dfc72d7af5aad";
    /// The config is a link to /dev/null.
    ConfigMasked = "5b54890fa5464da7b0f2080d640654db";
    /// PID 1 has no settings of this config, or those of a broken one.
    ConfigNotLoaded = "4897c7267b9e48b5bdf2ddcc66c8d9be";
    /// The generator has put the reason into the unit.
    Unstartable = "542c789759a04f98bec593491a81c5dd";
    /// The container's pod has no namespaces to join.
    CannotJoinPod = "8dcc351f09ce4c9088fd461914b0381c";
    /// `ct-helper pod-start` failed, for whatever reason.
    PodFailed = "6c776b7be41544f0a857371551b8ac5a";
    /// `root.path`, or `root` of a bundle, is no directory.
    NoRootfs = "df7b3b720faa4967a942b09308d39653";
    /// One of `root.layers` is no directory.
    NoLayer = "2f15090aa42a4a239c811767185a17ca";
    /// /dev, /proc or /sys of the root file system is a link.
    LinkInRootfs = "8a9025a1ceb7427aae6641868c728fbc";
    /// The kernel refuses an id-mapped mount for `root.idmap`.
    NoIdMappedMount = "4749d95185ce49259bd5ee5de01ceadd";
    /// `root.bundle` is no directory, or has no config.json.
    NoBundle = "bead647a89134baaaa9b46a31dadaef1";
    /// config.json of the bundle cannot be used.
    BundleBroken = "6c16d1ace2df4e60ab94b75ff46a8b3f";
    /// The source of a `[[mount]]` is not there.
    NoMountSource = "f6cfb4babd624f17b772037f8ad84ab7";
    /// The target of a `[[mount]]` with `create = "no"` is not there.
    NoMountTarget = "7ce0951de53d46e4aa8ee4fad213d617";
    /// One of `security.devices` is not there.
    NoDevice = "34d4db3824d9430da70fda7ee8896951";
    /// One of `process.env_file`, or the file of `security.seccomp`, is not there.
    NoFile = "e640117dbd5b4f899c8f97de79a143ce";
    /// `user` is no account of the host, or is root.
    NoAccount = "d4ab21233c1c49dea075f5f90a09dea0";
    /// The account has no subordinate ids, or `[idmap]` leaves root out.
    NoIds = "5a0af1129a5547af9192617f28af8070";
    /// `process.user`, `group` or `groups` is not in the container's own files.
    NoUser = "0c5062ff633549a1a72e3a3274d149f2";
    /// The runtime is not installed, or cannot be executed.
    RuntimeMissing = "bbf75d8bc41046b0be7fe491d648b03b";
    /// `process.init` finds no program.
    NoSmallInit = "33d92d622ac54919b32a79cdda83dcf9";
    /// `root.lxcfs` insists on a lxcfs that does not serve.
    NoLxcfs = "9fd6f444ca6940ef80002263bf1517ae";
    /// The runtime ended with an error, or left no init.
    RuntimeFailed = "15d727768a7e48ab8bb0ab6954231312";
    /// A system call failed with ENOSPC or EDQUOT.
    NoSpace = "6b45470899b847068b1ffd235d8fcd07";
    /// A system call failed with EACCES or EPERM.
    NotPermitted = "a8aa2496c22242a08ca21dedf4c6cdfc";
    /// A system call failed for a limit on files, memory or processes.
    LimitReached = "6fb37fd6c3024416a89e30867c7b4e9b";
    /// A system call failed with any other error.
    SystemCallFailed = "4c9a1136f1c8493fabe7f389360114bf";
    /// The process that starts the container was killed.
    Interrupted = "8b80013057344e07a029dce50293613a";
    /// `[ready] timeout` is over.
    NotReady = "17089d52eff249b4b238d3fe4c65082e";
    /// ct-console@NAME.service does not take the container's terminal.
    NoConsole = "4927471ceecc4bfd9fdaab98aa472ca6";
    /// A program of `[hooks]` failed, was killed, or is not there.
    HookFailed = "890a08e16eb849c69a1e8e8810d46d30";

    // Survived, or not ours.
    /// The container's init failed before the handover; its status is the unit's.
    InitEnded = "32dd62a58e0444cb8f85bca979956ac8";
    /// The container runs with a newer config than its unit.
    ConfigChanged = "f6c36082e0e649d69ecfc472fd9f802e";
    /// The running systemd is older than a setting of the pod's `[resources]`.
    PodSettingTooNew = "665aaeaf32484a3d872303d2aadb1d6f";
    /// The pod's unit has the settings of an older config.
    PodConfigChanged = "229703f964dc49f2b400c5d97453f982";
    /// A part of ct.toml was left out.
    HostSettingIgnored = "b1cd58504af84903bcec1fbf6c47c793";
    /// The running systemd is older than a setting of `[resources]`.
    SettingTooNew = "d227a45db9754acf996a9c0e8100fa45";
    /// A control group controller stays out of the container's reach.
    ControllerKept = "b59f1b53542c423387d6232040a28a02";
    /// lxcfs has not been asked from within the container.
    NotPrimed = "bc76942d90cd47238db75d6c428a56db";
    /// `stop.command` failed or was killed.
    StopCommandFailed = "11f120a56c144a14be6606717acbdea4";
    /// Somebody connected to a container's console who may not.
    ConsolePeerRefused = "02f77a11fcd549399fa7cf95870d5e6c";
    /// Lines of a terminal that are not in the journal.
    ConsoleLinesLost = "cbaab22558a04634a4c09ad1c4158b21";
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const CATALOG: &str = include_str!("../../packaging/catalog/ct.catalog");
    const MANUAL: &str = include_str!("../../packaging/man/ct-helper.8");

    /// The fields that every line of the helper has: for a container the first, for a pod the second.
    const FIELDS: [&str; 3] = ["CT_NAME", "CT_POD", "CT_STEP"];

    /// The entries of the catalog: id, header lines, text.
    fn entries() -> Vec<(&'static str, BTreeMap<&'static str, &'static str>, &'static str)> {
        let entries = CATALOG.split("\n-- ").skip(1).map(|entry| {
            let (head, text) = entry.split_once("\n\n").expect("an empty line ends the head");
            let (id, head) = head.split_once('\n').expect("the id has a line of its own");
            (id, head.lines().map(|line| line.split_once(": ").expect("a key and a value")).collect(), text)
        });
        entries.collect()
    }

    #[test]
    fn ids_are_128_bits_and_differ() {
        let ids: BTreeSet<_> = Message::ALL.iter().map(|message| message.id()).collect();
        assert_eq!(ids.len(), Message::ALL.len());
        for id in ids {
            assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        }
    }

    #[test]
    fn the_catalog_explains_each_id_once_and_no_other() {
        let explained: Vec<_> = entries().iter().map(|(id, ..)| *id).collect();
        let sent: Vec<_> = Message::ALL.iter().map(|message| message.id()).collect();
        assert_eq!(explained, sent, "packaging/catalog/ct.catalog, in the order of the table");
    }

    #[test]
    fn each_entry_says_what_why_and_what_to_do_in_words_that_journalctl_can_fill_in() {
        for (id, head, text) in entries() {
            assert!(
                head.get("Subject").is_some_and(
                    |subject| subject.contains("ontainer @CT_NAME@") || subject.contains("od @CT_POD@")
                ),
                "{id}"
            );
            assert_eq!(head.get("Defined-By"), Some(&"ct"), "{id}");
            assert!(head.get("Documentation").is_some_and(|page| page.starts_with("man:")), "{id}");
            assert!(text.split("\n\n").count() >= 2, "{id}: a cause and a cure");
            for (place, _) in text.match_indices('@') {
                let rest = text.split_at(place).1;
                let known = FIELDS.iter().any(|field| rest.starts_with(&format!("@{field}@")));
                let closing =
                    FIELDS.iter().any(|field| text.split_at(place).0.ends_with(&format!("@{field}")));
                assert!(
                    known || closing || rest.starts_with("@@CT_NAME@") || rest.starts_with("@@CT_POD@"),
                    "{id}: {rest:.40}"
                );
            }
            assert!(text.lines().all(|line| line.len() <= 80), "{id}: lines of a terminal");
        }
    }

    #[test]
    fn the_manual_lists_them_all() {
        let section = MANUAL.split(".SH MESSAGES").nth(1).and_then(|rest| rest.split("\n.SH ").next());
        let listed: Vec<_> = section
            .expect("ct-helper(8) has the section")
            .split("\n.TP\n.I ")
            .skip(1)
            .map(|item| item.trim_end().split_once('\n').expect("an id and a line"))
            .collect();
        let expected: Vec<_> = entries()
            .into_iter()
            .map(|(id, head, _)| {
                let subject = head
                    .get("Subject")
                    .expect("tested above")
                    .replace("@CT_NAME@", "NAME")
                    .replace("@CT_POD@", "NAME");
                (id, format!("{}.", subject.replace('-', "\\-")))
            })
            .collect();
        assert_eq!(listed.iter().map(|(id, line)| (*id, (*line).to_owned())).collect::<Vec<_>>(), expected);
    }
}
