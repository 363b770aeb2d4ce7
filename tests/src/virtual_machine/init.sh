#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# /sbin/ct-tests-init, the virtual machine's first program: lays the seed, a tar as a disk, over the root, and
# becomes systemd. Before systemd, since generators run at its start. Where it fails, the kernel panics and that is that.
set -e
mount -t devtmpfs devtmpfs /dev
modprobe virtio_blk
tar -x -f /dev/vda -C / --keep-directory-symlink
exec /usr/lib/systemd/systemd "$@"
