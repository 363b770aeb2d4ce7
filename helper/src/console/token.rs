// SPDX-License-Identifier: MIT OR Apache-2.0
//! What epoll(7) tells an event by.

use rustix::event::epoll::EventData;

/// Signals for this process.
pub(super) const SIGNALS: u64 = 0;
/// A helper that hands over.
pub(super) const HANDOVER: u64 = 1;
/// The container's terminal.
pub(super) const TERMINAL: u64 = 2;
/// Somebody connects.
pub(super) const CLIENTS: u64 = 3;
/// The container's init has ended.
pub(super) const INIT: u64 = 4;
/// journald takes more.
pub(super) const JOURNAL: u64 = 5;
/// The clients, each with a number of its own.
pub(super) const FIRST_CLIENT: u64 = 16;

/// As epoll(7) takes it.
pub(super) fn data(token: u64) -> EventData {
    EventData::new_u64(token)
}
