// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever is in a file, loading it ends, soon, with a container or with reasons.

use std::time::{Duration, Instant};

use crate::fake_root::{EVERYTHING, FakeRoot, MINIMAL};

/// xorshift64*: the same sequence everywhere, so that a failure can be had again by its number.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % below.max(1)
    }
}

/// What the grammar of TOML turns on.
const FRAGMENTS: [&[u8]; 40] = [
    b"[",
    b"]",
    b"[[",
    b"]]",
    b"{",
    b"}",
    b"=",
    b".",
    b",",
    b"\"",
    b"'",
    b"\"\"\"",
    b"'''",
    b"\n",
    b"\r",
    b"\r\n",
    b"#",
    b"\\",
    b"\\u0000",
    b"\\u001b",
    b"\\U0010ffff",
    b"\0",
    b"\xff",
    b"\xc2\x80",
    b"\xef\xbb\xbf",
    b"-",
    b"+",
    b"_",
    b"0x",
    b"1e999",
    b"nan",
    b"1979-05-27",
    b"99999999999999999999",
    b"true",
    b"a.a.a.a.a.a.a.a.a.a.a",
    b"[a.b]",
    b"x = {y = {z = [{}]}}",
    b"root.path",
    b"[[mount]]",
    b"key = ",
];

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.next(3) {
        let at = random.next(bytes.len() + 1);
        let until = (at + random.next(12)).min(bytes.len());
        match random.next(5) {
            0 => drop(bytes.drain(at..until)),
            1 => {
                let copy = bytes[at..until].to_vec();
                let to = random.next(bytes.len() + 1);
                bytes.splice(to..to, copy).for_each(drop);
            }
            2 if at < bytes.len() => bytes[at] = u8::try_from(random.next(256)).unwrap(),
            3 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, FRAGMENTS[random.next(FRAGMENTS.len())].iter().copied())),
        }
    }
}

#[test]
fn mutated_files_end_in_a_container_or_in_reasons() {
    let root = FakeRoot::new("mutated");
    let seeds = [EVERYTHING, MINIMAL];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut bad) = (0, 0);
    for round in 0..4000 {
        let mut bytes = seeds[round % 2].as_bytes().to_vec();
        mutate(&mut bytes, &mut random);
        root.write_bytes("/etc/ct/containers/a.toml", &bytes);
        let mut drop_in = Vec::new();
        if round % 3 == 0 {
            drop_in.extend_from_slice(seeds[1 - round % 2].as_bytes());
            mutate(&mut drop_in, &mut random);
        }
        root.write_bytes("/etc/ct/containers/a.toml.d/x.toml", &drop_in);
        match root.load("a") {
            Ok(_) => good += 1,
            Err(broken) => {
                assert!(!broken.problems.is_empty(), "round {round}");
                for problem in &broken.problems {
                    let line = problem.to_string();
                    assert!(!line.chars().any(char::is_control), "round {round}: {line:?}");
                }
                bad += 1;
            }
        }
    }
    assert!(good > 200 && bad > 200, "mutations must hit both ways: {good} good, {bad} bad");
}

#[test]
fn what_nests_or_repeats_without_end_is_refused_in_time() {
    let repeated = |part: &str, times: usize| part.repeat(times);
    let deep_key = format!("{}x = 1\n", repeated("a.", 400_000));
    let deep_header = format!("[{}x]\ny = 1\n", repeated("a.", 400_000));
    let deep_list = format!("x = {}", repeated("[", 900_000));
    let deep_table = format!("x = {}", repeated("{a=", 300_000));
    let mixed = format!("[{}x]\n{}y = {}", repeated("a.", 40), repeated("b.", 40), repeated("{c.d.e=", 70));
    let inputs = [
        ("dotted key", deep_key),
        ("header", deep_header),
        ("array header", format!("[[{}x]]\ny = 1\n", repeated("a.", 400_000))),
        ("list", deep_list),
        ("inline tables", deep_table),
        ("everything a little", mixed),
        ("unclosed strings", repeated("\"\n", 500_000)),
        ("unclosed long strings", repeated("\"\"\"", 300_001)),
        ("backslash and blank", repeated("# =3;\\ \n", 100_000)),
        ("unknown keys", (0..60_000).map(|n| format!("key{n} = 1\n")).collect()),
        ("the same key", repeated("a = 1\n", 170_000)),
        ("the same header", repeated("[root]\n", 140_000)),
        ("mounts", repeated("[[mount]]\ntarget = \"/x\"\n", 40_000)),
        ("wrong mounts", repeated("[[mount]]\nx = 1\n", 60_000)),
        ("a list of wrong values", format!("[process]\ngroups = [{}]", repeated("true,", 200_000))),
        ("id ranges", format!("[idmap]\nuid = [{}]\ngid = \"auto\"", repeated("[0,0,1],", 120_000))),
        (
            "dependencies",
            format!(
                "[depends]\nafter = [{}]",
                (0..100_000).map(|n| format!("\"a{n}\",")).collect::<String>()
            ),
        ),
        (
            "layers",
            format!("[root]\nlayers = [{}]", (0..90_000).map(|n| format!("\"a{n}\",")).collect::<String>()),
        ),
        ("garbage", repeated("= ", 500_000)),
        ("brackets", repeated("[]\n", 300_000)),
        ("quotes", repeated("'", 1_000_000)),
        ("carriage returns", repeated("\r", 1_000_000)),
    ];
    let root = FakeRoot::new("endless");
    // Only that it ends: in a release build on a quiet machine each takes less than half a second.
    let bound = Duration::from_secs(60);
    for (what, text) in inputs {
        assert!(text.len() <= 1 << 20, "{what} is {} bytes", text.len());
        root.write("/etc/ct/containers/a.toml", &text);
        let start = Instant::now();
        let loaded = root.load("a");
        let time = start.elapsed();
        assert!(loaded.is_err(), "{what} is no container");
        assert!(time < bound, "{what} took {time:?}");
        if std::env::var_os("CT_SHOW").is_some() {
            println!("{what}: {time:?}, {}", loaded.unwrap_err().problems[0]);
        }
    }
}
