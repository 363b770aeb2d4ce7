// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is every value that a config may have the one that systemd then shows? systemd ignores what it does not understand,
//! so that a mistake in rendering would be a limit that silently is none.

use std::collections::BTreeMap;
use std::fmt::Write;

use ct_tests::{Machine, on_every_machine};

/// How many containers are made up; one daemon-reload loads them all.
const CONTAINERS: usize = 200;

/// A small generator of numbers, the same at each run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let chosen = self.below(choices.len() as u64);
        choices.get(usize::try_from(chosen).expect("below the length")).expect("there is a choice")
    }
}

/// The 16 resources, as the TOML and as systemd call them.
const LIMITS: [(&str, &str); 16] = [
    ("as", "LimitAS"),
    ("core", "LimitCORE"),
    ("cpu", "LimitCPU"),
    ("data", "LimitDATA"),
    ("fsize", "LimitFSIZE"),
    ("locks", "LimitLOCKS"),
    ("memlock", "LimitMEMLOCK"),
    ("msgqueue", "LimitMSGQUEUE"),
    ("nice", "LimitNICE"),
    ("nofile", "LimitNOFILE"),
    ("nproc", "LimitNPROC"),
    ("rss", "LimitRSS"),
    ("rtprio", "LimitRTPRIO"),
    ("rttime", "LimitRTTIME"),
    ("sigpending", "LimitSIGPENDING"),
    ("stack", "LimitSTACK"),
];

/// Text that a careless renderer would get wrong; TOML literal strings take it as it is.
const HOSTILE: [&str; 12] = [
    "plain",
    "%n %i %% 100%",
    "$HOME ${PATH} $$",
    "a \"quoted\" word",
    "back\\slash \\n \\x41",
    "ends in a backslash\\",
    "; not a comment # nor this",
    "[Service]",
    "ExecStart=/bin/true",
    "tschüß 漢字 🦀",
    "  blanks inside   kept",
    "key=value -@+!: prefix",
];

/// A made-up config, and what systemd must show for it.
#[derive(Default)]
struct Made {
    toml: String,
    shown: BTreeMap<String, String>,
}

impl Made {
    fn new(numbers: &mut Numbers) -> Made {
        let mut made = Made::default();
        let description = numbers.one_of(&HOSTILE).trim().to_owned();
        made.line(&format!("description = '{description}'\nslice = 'ct-a{}.slice'", numbers.below(5)));
        made.show("Description", &description);
        made.line(&format!("[root]\npath = '/srv/{}'", numbers.one_of(&HOSTILE).replace('/', "-")));
        made.limits(numbers);
        let score = numbers.below(2001).cast_signed() - 1000;
        let policy = *numbers.one_of(&["kill", "stop", "continue"]);
        made.line(&format!("[oom]\nscore_adjust = {score}\npolicy = '{policy}'"));
        made.show("OOMScoreAdjust", score);
        made.show("OOMPolicy", policy);
        made.resources(numbers);
        made.life(numbers);
        made
    }

    fn line(&mut self, text: &str) {
        self.toml += text;
        self.toml += "\n";
    }

    fn show(&mut self, property: &str, value: impl ToString) {
        self.shown.insert(property.to_owned(), value.to_string());
    }

    fn limits(&mut self, numbers: &mut Numbers) {
        self.line("[limits]");
        for (key, directive) in LIMITS {
            // A nice or realtime limit has a range of its own; seconds of CPU are kept as microseconds.
            let bits = numbers.below(40);
            let bound = if ["nice", "rtprio"].contains(&key) { 39 } else { 1 << bits };
            let least = match key {
                "as" => 8 << 20,
                "data" => 1 << 20,
                "stack" => 128 << 10,
                "nofile" => 4,
                _ => 1,
            };
            let soft = least + numbers.below(bound);
            let (text, hard) = match numbers.below(4) {
                0 => continue,
                1 => (format!("{soft}"), soft.to_string()),
                2 => (format!("'{soft}:infinity'"), "infinity".to_owned()),
                _ => (format!("'{soft}:{}'", soft + 1), (soft + 1).to_string()),
            };
            self.line(&format!("{key} = {text}"));
            // The lowest nice level there is, since LimitNICE= knows no infinity.
            let hard = if key == "nice" { hard.replace("infinity", "40") } else { hard };
            self.show(directive, hard);
            self.show(&format!("{directive}Soft"), soft);
        }
    }

    fn resources(&mut self, numbers: &mut Numbers) {
        self.line("[resources]");
        let memory = [
            ("memory_max", "MemoryMax"),
            ("memory_high", "MemoryHigh"),
            ("memory_swap_max", "MemorySwapMax"),
        ];
        for (key, directive) in memory {
            let bits = numbers.below(20);
            let count = 1 + numbers.below(1 << bits);
            let (text, shown) = match numbers.below(4) {
                0 => ("'infinity'".to_owned(), "infinity".to_owned()),
                1 => (format!("'{count}M'"), (count << 20).to_string()),
                _ => ((count * 4096).to_string(), (count * 4096).to_string()),
            };
            self.line(&format!("{key} = {text}"));
            self.show(directive, shown);
        }
        let percent = 1 + numbers.below(400);
        self.line(&format!("cpu_quota = '{percent}%'"));
        self.show("CPUQuotaPerSecUSec", microseconds(percent * 10_000));
        for (key, directive, bound) in [
            ("tasks_max", "TasksMax", 99_999),
            ("io_weight", "IOWeight", 9_999),
            ("cpu_weight", "CPUWeight", 9_999),
        ] {
            let value = 1 + numbers.below(bound);
            self.line(&format!("{key} = {value}"));
            self.show(directive, value);
        }
    }

    fn life(&mut self, numbers: &mut Numbers) {
        let signals = [("SIGQUIT", 3), ("TERM", 15), ("SIGRTMIN+3", 37), ("12", 12), ("SIGWINCH", 28)];
        let (signal, number) = *numbers.one_of(&signals);
        let (seconds, milliseconds) = (1 + numbers.below(59), 1 + numbers.below(999));
        let policies = ["no", "always", "on-success", "on-failure", "on-abnormal", "on-abort"];
        let restart = *numbers.one_of(&policies);
        self.line(&format!("[stop]\nsignal = '{signal}'\ntimeout = '{seconds}s'"));
        self.line(&format!("[restart]\npolicy = '{restart}'\ndelay = '{milliseconds}ms'"));
        self.show("KillSignal", number);
        self.show("TimeoutStopUSec", format!("{seconds}s"));
        self.show("Restart", restart);
        self.show("RestartUSec", format!("{milliseconds}ms"));
        let (burst, interval) = (numbers.below(100), 1 + numbers.below(59));
        self.line(&format!("start_limit_burst = {burst}\nstart_limit_interval = '{interval}s'"));
        self.show("StartLimitBurst", burst);
        self.show("StartLimitIntervalUSec", format!("{interval}s"));
        // What these arguments become in a unit file is nothing at all: they stay in the config.
        let argument = *numbers.one_of(&HOSTILE);
        self.line(&format!("[hooks]\npost_start = [['/bin/hook', '{argument}']]\ntimeout = '{seconds}s'"));
        // 90 s for the start itself.
        self.show("TimeoutStartUSec", span_of_minutes(90 + seconds));
    }
}

/// Seconds below an hour as `systemctl show` prints them.
fn span_of_minutes(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (minutes, 0) => format!("{minutes}min"),
        (minutes, seconds) => format!("{minutes}min {seconds}s"),
    }
}

/// A time span below an hour as `systemctl show` prints it.
fn microseconds(span: u64) -> String {
    if span < 1_000_000 {
        return format!("{}ms", span / 1000);
    }
    if span.is_multiple_of(1_000_000) {
        format!("{}s", span / 1_000_000)
    } else {
        format!("{}.{:06}s", span / 1_000_000, span % 1_000_000)
    }
}

on_every_machine! {
    fn what_systemd_shows_is_what_the_config_says(machine: &Machine) {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let made: Vec<_> = (0..CONTAINERS).map(|_| Made::new(&mut numbers)).collect();
        let mut script = String::from("mkdir -p /etc/ct/containers; cd /etc/ct/containers\n");
        for (number, Made { toml, .. }) in made.iter().enumerate() {
            write!(script, "cat >c{number}.toml <<'END OF CONFIG'\n{toml}END OF CONFIG\n").unwrap();
        }
        machine.command(["sh", "-s"]).stdin(&script).run().succeeds();
        machine.daemon_reload();
        let units: Vec<String> = (0..CONTAINERS).map(|number| format!("ct@c{number}.service")).collect();
        let all = machine.run(["systemctl", "show"].into_iter().chain(units.iter().map(String::as_str))).succeeds().stdout;
        let blocks: Vec<&str> = all.split("\n\n").collect();
        assert_eq!(blocks.len(), CONTAINERS);
        for (block, Made { toml, shown }) in blocks.iter().zip(&made) {
            let properties: BTreeMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
            for (name, value) in shown {
                assert_eq!(properties.get(name.as_str()), Some(&value.as_str()), "{name} of\n{toml}");
            }
        }
        assert!(!machine.console().contains("ct-generator"), "no config should be complained of: {}", machine.console());
    }
}
