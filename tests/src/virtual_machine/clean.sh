# SPDX-License-Identifier: MIT OR Apache-2.0
# After each test, inside: no container is left, nor anything of one but its drop-in, until the next daemon-reload.
systemctl stop 'ct@*.service' || exit
rm -f /etc/ct/containers/*
rm -rf /etc/systemd/system/ct@*.service.d
systemctl reset-failed || exit
left=$(
  find /sys/fs/cgroup/ct.slice -mindepth 1 -type d
  ls -d /run/ct/*
  grep ' /run/ct/' /proc/1/mountinfo
) 2>/dev/null
[ -z "$left" ] || {
  echo "left behind: $left"
  exit 1
}
