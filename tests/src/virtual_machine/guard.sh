#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs a virtual machine until the standard input ends: when the VirtualMachine is dropped, or when the test's process
# ends, of whatever cause. The standard output is the socket to the agent inside; the console goes to standard error.
#
#   guard.sh KERNEL IMAGE SEED     IMAGE: the root file system, left as it is; SEED: a tar laid over it at boot
#
# The emulator alone, without KVM: a guest of a guest is not to be had everywhere, and hangs in places.
set -eu
kernel=$1 image=$2 seed=$3

arguments="console=ttyS0 quiet panic=-1 root=/dev/nvme0n1 rootwait rw init=/sbin/ct-tests-init"
arguments="$arguments mitigations=off systemd.show_status=no systemd.condition-needs-update=no"
# One thread for both processors: with one each, a processor of the guest may run into code that the kernel is patching on
# the other (static keys), and the guest dies of the breakpoint in it, an "Oops: int3".
# Changes of the image are in a file that has lost its name. Killed, this shell takes the emulator along.
setpriv --pdeathsig KILL qemu-system-x86_64 \
  -machine q35 -accel tcg,thread=single -smp 2 -m 1024 -nodefaults -nic none -display none -no-reboot \
  -kernel "$kernel" -append "$arguments" \
  -drive "file=$image,format=raw,if=none,id=root,snapshot=on" -device nvme,drive=root,serial=root \
  -drive "file=$seed,format=raw,if=virtio,read-only=on" \
  -device virtio-serial -chardev socket,id=agent,fd=3 -device virtserialport,chardev=agent,nr=1,name=ct-tests \
  -chardev file,id=console,path=/proc/self/fd/2,append=on -serial chardev:console \
  3>&1 >&2 </dev/null &
exec >&2
cat >/dev/null
kill -KILL $! 2>/dev/null || true
wait || true
rm -f "$seed"
