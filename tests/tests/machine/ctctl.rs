// SPDX-License-Identifier: MIT OR Apache-2.0
//! ctctl on booted machines: a file for each verb, or family of them.

mod check;
mod console;
mod create;
mod destroy;
mod edit;
mod exec;
mod image;
mod import;
mod inspect;
mod jobs;
mod list;
mod logs;
mod ps;
mod run;
mod set;
mod status;
mod verbs;
