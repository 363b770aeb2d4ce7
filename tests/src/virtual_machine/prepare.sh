# SPDX-License-Identifier: MIT OR Apache-2.0
# sh -c THIS sh ROOT INIT: makes a fresh Debian the root of a virtual machine.
set -eu
cd "$1"
printf %s "$2" >sbin/ct-tests-init
chmod 755 sbin/ct-tests-init
# Without one it would be a first boot, which enables units by their presets.
echo c7000000000000000000000000000000 >etc/machine-id
echo virtual-machine >etc/hostname
# For containers that run through an account.
chroot . useradd --system --no-create-home ct-web
echo ct-web:200000:65536 | tee etc/subuid >etc/subgid

# systemd's own, less what would disturb: nobody updates this machine or logs in.
cd etc/systemd
for unit in apt-daily.timer apt-daily-upgrade.timer getty.target systemd-logind.service; do
  ln -s /dev/null "system/$unit"
done
mkdir system-generators journald.conf.d
for generator in ../../usr/lib/systemd/system-generators/*; do # which would cost each daemon-reload half its time
  ln -s /dev/null "system-generators/${generator##*/}"
done
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >journald.conf.d/ct-tests.conf
