// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is tested on booted machines: each test has a systemd of its own, in namespaces, of Debian 12 and of Debian 13. To add
//! one, see `on_every_machine!`.

mod access;
mod account;
mod autostart;
mod behaviour;
mod boot;
mod checkpoint;
mod cleanup;
mod console;
mod ctctl;
mod dbus;
mod depends;
mod failures;
mod handover;
mod harness;
mod hooks;
mod idmap;
mod inside;
mod limits;
mod lxc;
mod lxcfs;
mod messages;
mod notify;
mod pods;
mod races;
mod ready;
mod reload;
mod remote;
mod restart;
mod roundtrip;
mod runsc;
mod soft_reboot;
mod stdio;
mod stop;
mod system_container;
