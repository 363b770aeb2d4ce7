// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ctctl`, see ctctl(1) and the library of the same name.

use std::process::ExitCode;

use clap::Parser as _;
use ctctl::cli::Cli;

fn main() -> ExitCode {
    ctctl::completion::complete();
    let cli = Cli::parse();
    match ctctl::run(&cli) {
        Ok(status) => status.into(),
        Err(error) => error.report(),
    }
}
