// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl state` and `inspect`: the state as other tools know it, and everything there is, as JSON.

use ct_tests::{Machine, on_every_machine};
use serde_json::{Value, json};

const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

fn container(machine: &Machine, name: &str, keys: &str, tables: &str) {
    let root = "root.path = \"/srv/rootfs\"\n";
    machine.container(name, &format!("{keys}{root}process.command = ['sh', '-c', \"{IDLE}\"]\n{tables}"));
}

fn json_of(machine: &Machine, argv: &[&str]) -> Value {
    let output = machine.run(argv).succeeds();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("should be JSON: {error}\n{output}"))
}

fn state(machine: &Machine, name: &str) -> Value {
    json_of(machine, &["ctctl", "state", name])
}

on_every_machine! {
    fn the_state_is_the_runtimes_or_systemds(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("useradd --system --no-create-home ct-web && echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        container(machine, "crun", "", "");
        container(machine, "runc", "runtime = \"runc\"\n", "");
        container(machine, "mine", "user = \"ct-web\"\n", "");
        container(machine, "off", "", "");
        container(machine, "slow", "", "[ready]\ncommand = [\"false\"]\ntimeout = \"1h\"\n");
        machine.daemon_reload();
        for name in ["crun", "runc", "mine"] {
            machine.start(&format!("ct@{name}"));
            let state = state(machine, name);
            assert_eq!((&state["id"], &state["status"], &state["pid"]), (&json!(name), &json!("running"), &json!(machine.main_pid(&format!("ct@{name}")))));
            assert_eq!(state["bundle"], format!("/run/ct/{name}/bundle"));
            let config: Value = serde_json::from_str(&machine.read_file(format!("/run/ct/{name}/bundle/config.json"))).unwrap();
            assert!(state["ociVersion"].as_str().unwrap().starts_with("1."), "{state} {config}");
            assert!(state["annotations"].is_object(), "{state}");
        }
        let off = state(machine, "off");
        assert_eq!((&off["status"], off.get("pid")), (&json!("stopped"), None));
        machine.run(["systemctl", "start", "--no-block", "ct@slow"]).succeeds();
        machine.wait_until("test -e /run/ct/slow/runtime/pid");
        let slow = state(machine, "slow");
        assert!(["creating", "created", "running"].contains(&slow["status"].as_str().unwrap()), "{slow}");
        assert_ne!(slow["pid"], json!(machine.main_pid("ct@slow")), "the helper is no container");
        machine.run(["systemctl", "freeze", "ct@crun"]).succeeds();
        assert_eq!(state(machine, "crun")["status"], "paused");
        machine.run(["systemctl", "thaw", "ct@crun"]).succeeds();
        // A runtime that does not know it any more: systemd does.
        machine.shell("f=$(find /run/ct/runc/runtime/containers -name state.json) && rm $f").succeeds();
        assert_eq!(state(machine, "runc")["status"], "running");
        machine.run(["ctctl", "-H", "host", "state", "crun"]).exits(2);
        machine.run(["ctctl", "state", "nobody"]).exits(4);
    }

    fn an_account_cannot_have_root_run_its_runtime(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        machine.shell("useradd --system --no-create-home ct-web && echo ct-web:200000:65536 | tee /etc/subuid >/etc/subgid").succeeds();
        machine.write_file("/usr/local/bin/tells", 0o755, "#!/bin/sh\ncase \"$*\" in *' state '*) id -u >/tmp/told; id -G >>/tmp/told; cat /dev/zero;; *) exec crun \"$@\";; esac\n");
        machine.shell("touch /tmp/told && chmod 666 /tmp/told && chmod o-t /tmp").succeeds();
        container(machine, "mine", "user = \"ct-web\"\nruntime = \"/usr/local/bin/tells\"\n", "");
        machine.daemon_reload();
        machine.start("ct@mine");
        // It says too much, and is not listened to.
        let state = state(machine, "mine");
        assert_eq!((&state["status"], &state["pid"]), (&json!("running"), &json!(machine.main_pid("ct@mine"))));
        let ids = machine.shell("id -u ct-web; id -g ct-web").succeeds().stdout;
        assert_eq!(machine.read_file("/tmp/told"), ids);
    }

    fn everything_there_is(machine: &Machine) {
        machine.busybox_rootfs("/srv/rootfs");
        let tables = "[limits]\nnofile = \"1024:2048\"\n[resources]\nmemory_max = \"64M\"\n[oom]\nscore_adjust = 300\n\
            [stop]\ntimeout = \"20s\"\n[autostart]\nenabled = true\n";
        container(machine, "web", "description = \"A \u{202e}name\"\n", tables);
        container(machine, "broken", "", "[oom]\nscore_adjust = 5000\n");
        machine.daemon_reload();
        machine.start("ct@web");
        let all = json_of(machine, &["ctctl", "inspect", "web", "broken"]);
        let web = &all[0];
        let keys: Vec<&str> = web.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.join(" "), "autostart config drop_ins files name problems properties settings state unit verdict");
        let config = &web["config"];
        assert_eq!(config["name"], "web");
        assert_eq!(config["runtime"]["name"], "crun");
        assert_eq!(config["slice"], "ct.slice");
        assert_eq!(config["root"]["source"], json!({"path": "/srv/rootfs"}));
        assert_eq!(config["process"]["command"], json!(["sh", "-c", IDLE]));
        assert_eq!(config["limits"], json!({"nofile": {"soft": 1024, "hard": 2048}}));
        assert_eq!(config["resources"], json!({"MemoryMax": 64 << 20}));
        assert_eq!(config["oom"], json!({"score_adjust": 300, "policy": null}));
        assert_eq!(config["stop"]["timeout"], 20_000_000);
        assert_eq!(config["autostart"], json!({"enabled": true, "priority": 1000, "delay": 0}));
        assert_eq!(config["ready"]["when"], "started");
        // systemd has what would be rendered.
        let drop_in = &web["drop_ins"][0];
        assert_eq!(drop_in["path"], "/run/systemd/generator/ct@web.service.d/50-ct.conf");
        assert_eq!(web["settings"], drop_in["text"]);
        assert!(web["settings"].as_str().unwrap().contains("\nMemoryMax=67108864\n"), "{}", web["settings"]);
        let properties = &web["properties"];
        assert_eq!(properties["MemoryMax"], 64 << 20);
        assert_eq!((&properties["MainPID"], &properties["OOMScoreAdjust"]), (&json!(machine.main_pid("ct@web")), &json!(300)));
        assert_eq!(properties["InvocationID"], machine.show("ct@web", "InvocationID"));
        assert_eq!(web["state"]["status"], "running");
        let broken = &all[1];
        assert_eq!((&broken["verdict"], &broken["config"]), (&json!("invalid"), &Value::Null));
        assert!(broken["problems"][0].as_str().unwrap().contains("oom.score_adjust"), "{broken}");
        assert!(broken["settings"].as_str().unwrap().contains("ct-helper broken"), "{broken}");
        machine.run(["ctctl", "inspect", "nobody"]).exits(4);
    }
}
