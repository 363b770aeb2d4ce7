// SPDX-License-Identifier: MIT OR Apache-2.0
//! The units of pods: a drop-in over the static `ct-pod@.service`, and one for the slice, which needs no unit file of
//! its own (systemd.slice(5)).
//!
//! A broken pod gets neither: its unit then fails with the reasons, since the helper reads the config as well and
//! refuses one whose settings PID 1 does not have.

use std::path::PathBuf;

use ct_config::pod::{Pod, Pods};
use ct_config::settings::{PodSettings, pod_settings};

use crate::output::{Error, Output};
use crate::render::first_line;
use crate::unit_file::UnitFile;
use crate::{Report, unusable};

/// Takes down what is wrong with the pods.
pub(crate) fn report_problems(pods: &Pods, report: &mut Report) {
    report.add_sorted_problems(pods.problems());
    for broken in pods.iter().filter_map(|pod| pod.as_ref().err()) {
        report.add_problems(&broken.problems);
    }
}

/// Writes the drop-ins of all pods that can be used. `text` is scratch space.
pub(crate) fn write_all(pods: &Pods, output: &mut Output, text: &mut String, report: &mut Report) {
    for pod in pods.iter().filter_map(|pod| pod.as_ref().ok()) {
        if let Err(error) = write(pod, output, text, report) {
            report.add_failure(error);
        }
    }
}

/// The slice first: without its limits, the pod is to have no unit that starts.
fn write(pod: &Pod, output: &mut Output, text: &mut String, report: &mut Report) -> Result<(), Error> {
    let PodSettings { unit, service, slice } = pod_settings(pod);
    let source = pod.files.first().map(PathBuf::as_path).unwrap_or("".as_ref());
    for (name, section, settings) in
        [(pod.name.slice(), "Slice", slice), (pod.name.unit(), "Service", service)]
    {
        let mut file = UnitFile::new(text);
        first_line(&mut file, source);
        file.section("Unit");
        unit.iter().for_each(|property| file.property(property));
        file.section(section);
        settings.iter().for_each(|property| file.property(property));
        if let Err(unwritable) = file.finish() {
            report.add_problems(&[unusable(source, &unwritable)]);
            return Ok(());
        }
        output.write_drop_in(name.as_str(), text)?;
    }
    Ok(())
}
