#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Boots a systemd as PID 1 of its own namespaces over a throw-away overlay of a root, and takes everything away
# when the standard input ends: when the Machine is dropped, or when the test dies of whatever cause.
#
#   boot.sh guard GROUP LOWER DIR     GROUP: cgroup to make; LOWER: the root, left as it is;
#                                     DIR/seed: files for the machine; DIR/notify: socket that hears READY=1;
#                                     DIR/layers: names and directories of layers for containers
#
# Whoever runs this leaves out the capabilities that reach the host itself, see WITHOUT in preparation.rs.
# Prints PID 1 as the host counts. Each stage runs the next: guard (stays) > enter > start > inside (becomes PID 1).
set -eu
stage=$1 group=$2 lower=$3 dir=$4

case $stage in
guard)
  mkdir "$group" "$group/boot" "$group/machine"
  for controller in $(cat "$group/cgroup.controllers"); do
    echo "+$controller" >"$group/cgroup.subtree_control" || true
  done
  exec 3<&0
  # A killed guard takes unshare along, and unshare takes PID 1 along.
  setpriv --pdeathsig KILL sh "$0" enter "$group" "$lower" "$dir" </dev/null 3<&- &
  exec >&2
  cat <&3 >/dev/null

  # First the machine alone, so that unshare lives to reap PID 1.
  echo 1 >"$group/machine/cgroup.kill"
  for _ in $(seq 3000); do
    read -r _ <"$group/boot/cgroup.procs" || break
    sleep 0.01
  done
  for _ in $(seq 6000); do
    echo 1 >"$group/cgroup.kill"
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
    sleep 0.01
  done
  wait || true
  rm -rf "$dir/seed" "$dir/root" "$dir/notify" "$dir/layers"
  [ ! -d "$group" ]
  ;;

enter)
  # The namespace takes the cgroup of its maker as its "/".
  echo 0 >"$group/machine/cgroup.procs"
  exec unshare --cgroup sh "$0" start "$group" "$lower" "$dir"
  ;;

start)
  # unshare stays, as the parent of PID 1. In "/" it would be in the way of systemd's controllers.
  echo 0 >"$group/boot/cgroup.procs"
  exec unshare --mount --uts --ipc --net --pid --fork --kill-child sh "$0" inside "$group" "$lower" "$dir"
  ;;

inside)
  echo 0 >"$group/machine/cgroup.procs"
  read -r pid _ </proc/self/stat # still the host's /proc, so the host's number
  mount --make-rprivate /
  mkdir "$dir/root"
  mount -t tmpfs -o mode=755 tmpfs "$dir/root"
  cd "$dir/root"
  mkdir upper work root
  mount -t overlay overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" root
  cd root

  # What the root's owner enabled, configured or installed of ct stays outside; of what systemd itself
  # wants at boot, the part that a container of services needs.
  rm -rf etc/systemd/* etc/ct usr/lib/ct usr/libexec/ct usr/bin/ctctl var/lib/ct var/log/journal
  rm -rf usr/lib/systemd/system/ct[@.-]* usr/local/lib/systemd
  # Few programs here, for this is a part of each test: what a shell does by itself costs a tenth.
  set --
  for wanted in usr/lib/systemd/system/*.target.wants/*; do
    case ${wanted##*/} in
    dbus.* | systemd-journald.* | systemd-journald-dev-log.socket | systemd-tmpfiles-setup.service) ;;
    systemd-journal-flush.service | systemd-user-sessions.service | dev-mqueue.mount) ;;
    *) set -- "$@" "$wanted" ;;
    esac
  done
  rm -f "$@"
  mkdir -p etc/systemd/system etc/systemd/system-generators etc/systemd/journald.conf.d
  # An empty file masks as a link to /dev/null does.
  for generator in usr/lib/systemd/system-generators/* usr/local/lib/systemd/system-generators/*; do
    case ${generator##*/} in
    podman-* | ct-generator) ;;
    *) : >"etc/systemd/system-generators/${generator##*/}" ;;
    esac
  done
  # /proc/sys, the clock and the kernel's log are the host's: nothing here may set or read them.
  for unit in systemd-sysctl systemd-binfmt systemd-modules-load systemd-udevd systemd-timesyncd; do
    : >"etc/systemd/system/$unit.service"
  done
  printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitBurst=0\nForwardToSyslog=no\nForwardToWall=no\n' \
    >etc/systemd/journald.conf.d/ct-tests.conf
  tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
  echo "${dir##*/}" | tr -c 'a-z0-9\n' - >etc/hostname

  mount -t proc proc proc
  mount -t sysfs -o ro sysfs sys # rw is what starts udevd
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
  mount -t tmpfs -o mode=755,nosuid tmpfs dev
  set --
  for node in null zero full random urandom tty fuse net/tun; do
    [ ! -e "/dev/$node" ] || set -- "$@" "$node"
  done
  (cd /dev && exec cp -a --parents "$@" "$dir/root/root/dev")
  mkdir -p dev/pts dev/shm dev/mqueue mnt srv var/lib/ct run/host
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
  ln -s pts/ptmx dev/ptmx # the other links are systemd's
  # An overlay cannot be the upper layer of another one: container roots and layers live on a plain file system.
  mount -t tmpfs -o mode=755 tmpfs srv
  mount -t tmpfs -o mode=755 tmpfs var/lib/ct
  while read -r layer directory; do
    mkdir -p "var/lib/ct/layers/$layer"
    mount --bind "$directory" "var/lib/ct/layers/$layer"
    mount -o remount,bind,ro "var/lib/ct/layers/$layer"
  done <"$dir/layers"
  touch run/host/notify
  mount --bind "$dir/notify" run/host/notify
  cp -a "$dir/seed/." .

  pivot_root . mnt
  umount -l /mnt
  mount --make-rshared / # as on a real host, where a mount made in PID 1's namespace is seen by every unit
  echo "$pid"
  ulimit -S -n 1024
  exec env -i container=ct-testbed NOTIFY_SOCKET=/run/host/notify PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    /usr/lib/systemd/systemd --system --show-status=no --unit=multi-user.target >&2
  ;;
esac
