// SPDX-License-Identifier: MIT OR Apache-2.0
//! A real systemd to test with.
