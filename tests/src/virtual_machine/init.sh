#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# /sbin/ct-tests-init, the virtual machine's first program: lays the seed, a tar as a disk, over the root, and
# becomes systemd. Before systemd, since generators run at its start. Where it fails, the kernel panics and that is that.
set -e
mount -t devtmpfs devtmpfs /dev
# Whichever of these the kernel has not built in.
modprobe -a virtio_pci virtio_blk virtio_console
until [ -b /dev/vda ]; do sleep 0.1; done
tar -x -f /dev/vda -C / --keep-directory-symlink
exec /usr/lib/systemd/systemd "$@"
