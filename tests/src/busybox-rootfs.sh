# SPDX-License-Identifier: MIT OR Apache-2.0
# sh -c THIS sh DIR: a root filesystem for a container, of the static busybox and the usual accounts.
set -eu
umask 022
cd "$(mkdir -p "$1" && echo "$1")"
mkdir -p bin sbin etc dev proc sys tmp run root var/lib var/www usr/bin usr/sbin
chmod 1777 tmp
cp "$(command -v busybox)" bin/busybox
chroot . /bin/busybox --install -s /bin
cat >etc/passwd <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
PASSWD
cat >etc/group <<'GROUP'
root:x:0:
daemon:x:1:
adm:x:4:www-data
tty:x:5:
www-data:x:33:
nogroup:x:65534:
GROUP
