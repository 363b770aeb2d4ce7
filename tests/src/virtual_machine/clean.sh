# SPDX-License-Identifier: MIT OR Apache-2.0
# After each test, inside: no container is left, nor anything of one but its drop-in, until the next daemon-reload.
systemctl stop 'ct@*.service' || exit
rm -f /etc/ct/containers/*
rm -rf /etc/systemd/system/ct@*.service.d
systemctl reset-failed || exit
# systemd takes a control group away when the kernel has told it that nobody is in there.
for _ in $(seq 100); do
  left=$(
    find /sys/fs/cgroup/ct.slice -mindepth 1 -type d
    ls -d /run/ct/*
    grep ' /run/ct/' /proc/1/mountinfo
  ) 2>/dev/null
  [ -n "$left" ] || exit 0
  sleep 0.2
done
echo "left behind: $left"
exit 1
