// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the container configs to the units: ct-generator and Quadlet's generator, run alone.

use std::path::Path;

use crate::Result;
use crate::report::{Goal, Samples, Section, named, times};
use crate::variant::{Variant, interleaved, write};

/// Containers, and rounds to measure them in.
const SIZES: [(u32, u32); 3] = [(100, 40), (1000, 20), (10_000, 5)];

/// On a tmpfs, so that no disk is measured.
const PLACE: &str = "/srv/generators";

const CT: &str = "/usr/lib/systemd/system-generators/ct-generator";
const QUADLET: &str = "/usr/lib/systemd/system-generators/podman-system-generator";

pub(crate) fn measure() -> Result<Section> {
    let mut samples = Vec::new();
    for (count, rounds) in SIZES {
        samples.extend(measure_size(count, rounds)?);
    }
    let of = |generator: &str, count: u32| named(&samples, &name(generator, count));
    let ct = of("ct-generator", 1000)?;
    Ok(Section {
        title: "Generators".to_owned(),
        goals: vec![
            Goal::ratio("generators for 1000 containers, ct : Quadlet", ct, &[of("Quadlet's", 1000)?], 0.25),
            Goal::ratio(
                "ct-generator is linear, 10000 : 1000 containers",
                of("ct-generator", 10_000)?,
                &[ct],
                11.0,
            ),
        ],
        table: times(&samples),
    })
}

fn name(generator: &str, count: u32) -> String {
    format!("{generator}, {count} containers")
}

fn measure_size(count: u32, rounds: u32) -> Result<Vec<Samples>> {
    let place = format!("{PLACE}/{count}");
    write_configs(
        count,
        format!("{place}/ct/etc/ct/containers").as_ref(),
        format!("{place}/quadlet").as_ref(),
    )?;
    let variant = |generator: &str, command: String| {
        let out = format!("{place}/out");
        let remove = format!("rm -rf {out}");
        Variant::new(
            &name(generator, count),
            &[&format!("mkdir {out} {out}/normal {out}/early {out}/late")],
            &[&format!("{command} {out}/normal {out}/early {out}/late")],
            &[&remove],
        )
    };
    let variants = [
        variant("ct-generator", format!("CT_ROOT={place}/ct {CT}")),
        variant("Quadlet's", format!("QUADLET_UNIT_DIRS={place}/quadlet {QUADLET}")),
    ];
    interleaved(&variants, rounds)
}

/// The same containers for both, with the keys that most have.
pub(crate) fn write_configs(count: u32, ct: &Path, quadlet: &Path) -> Result<()> {
    for number in 0..count {
        let name = format!("many-{number}");
        write(
            ct.join(format!("{name}.toml")),
            &format!(
                "description = \"Web front end {number}\"\n\n\
                 [root]\npath = \"/srv/web/rootfs\"\n\n\
                 [process]\ncommand = [\"/usr/sbin/nginx\", \"-g\", \"daemon off;\"]\nenv = {{ LANG = \"C.UTF-8\" }}\n\n\
                 [limits]\nnofile = \"1024:65536\"\n\n\
                 [resources]\nmemory_max = \"512M\"\ntasks_max = 512\n\n\
                 [autostart]\nenabled = true\n"
            ),
        )?;
        write(
            quadlet.join(format!("{name}.container")),
            &format!(
                "[Unit]\nDescription=Web front end {number}\n\n\
                 [Container]\nRootfs=/srv/web/rootfs\nExec=/usr/sbin/nginx -g \"daemon off;\"\nEnvironment=LANG=C.UTF-8\n\
                 Ulimit=nofile=1024:65536\nNetwork=none\n\n\
                 [Service]\nMemoryMax=512M\nTasksMax=512\n\n\
                 [Install]\nWantedBy=multi-user.target\n"
            ),
        )?;
    }
    Ok(())
}
