// SPDX-License-Identifier: MIT OR Apache-2.0
//! Microseconds per container, stage by stage: `cargo run --release -p ct-config --example measure [CONTAINERS]`.
//! No assertion: figures are compared by a reader, on a quiet machine.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use ct_config::host::Host;
use ct_config::settings::unit_settings;
use ct_config::sources::Tree;

/// Neither the smallest nor a large one.
const CONTAINER: &str = "\
description = \"Web front end\"

[root]
path = \"/srv/web/rootfs\"

[process]
command = [\"/usr/sbin/nginx\", \"-g\", \"daemon off;\"]
env = { LANG = \"C.UTF-8\" }

[limits]
nofile = \"1024:65536\"

[resources]
memory_max = \"512M\"
tasks_max = 512

[autostart]
enabled = true
";

fn main() -> Result<(), Box<dyn Error>> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(1000), |text| text.parse())?;
    let root = std::env::temp_dir().join(format!("ct-measure-{}", std::process::id()));
    let dir = root.join("etc/ct/containers");
    fs::create_dir_all(&dir)?;
    for number in 0..count {
        fs::write(dir.join(format!("web-{number}.toml")), CONTAINER)?;
    }
    let result = measure(&root, &dir, count);
    fs::remove_dir_all(&root)?;
    result
}

fn measure(root: &Path, dir: &Path, count: u32) -> Result<(), Box<dyn Error>> {
    let (mut scan, mut load, mut settings, mut files) =
        (Duration::MAX, Duration::MAX, Duration::MAX, Duration::MAX);
    // The best of several: what disturbs a run only ever makes it slower.
    for _ in 0..20 {
        let start = Instant::now();
        for entry in fs::read_dir(dir)? {
            black_box(fs::read_to_string(entry?.path())?);
        }
        files = files.min(start.elapsed());

        let start = Instant::now();
        let (host, _) = Host::load(root);
        let tree = Tree::scan(root);
        scan = scan.min(start.elapsed());

        let start = Instant::now();
        let mut containers = Vec::new();
        for name in tree.names() {
            containers.push(ct_config::load(&tree, &host, name).map_err(|broken| format!("{broken:?}"))?);
        }
        load = load.min(start.elapsed());

        let start = Instant::now();
        containers.iter().for_each(|container| drop(black_box(unit_settings(container))));
        settings = settings.min(start.elapsed());
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(count);
    #[expect(clippy::print_stdout, reason = "it is what this program is for")]
    {
        println!("µs per container, {count} containers, best of 20");
        println!("list and read the files alone  {:8.2}", each(files));
        println!("scan                           {:8.2}", each(scan));
        println!("load                           {:8.2}", each(load));
        println!("unit settings                  {:8.2}", each(settings));
    }
    Ok(())
}
