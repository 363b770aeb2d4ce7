// SPDX-License-Identifier: MIT OR Apache-2.0
//! The built program, from outside. A new case of "this config gives these units" is a folder below `../golden/`; what a
//! folder cannot show is here, one file for each thing that must hold.

// `cfg(test)`: clippy then allows in the helpers what it allows in the tests themselves.
#[cfg(test)]
mod golden;
#[cfg(test)]
mod input;
#[cfg(test)]
mod log;
#[cfg(test)]
mod output;
#[cfg(test)]
mod purity;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod usage;
