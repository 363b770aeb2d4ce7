// SPDX-License-Identifier: MIT OR Apache-2.0
//! The built program, from outside. A new case of "this config gives these units" is a folder below `../golden/`; what a
//! folder cannot show is here, one file for each thing that must hold.

mod golden;
mod input;
mod output;
mod purity;
mod sandbox;
mod speed;
mod usage;
