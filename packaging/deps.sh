#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# What a fresh Debian 12 or 13 lacks to build and test ct. Installs only what is missing, so that a second run needs
# neither root nor network.
set -eu
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive

build="bash ca-certificates gcc groff-base libc6-dev make"
machines="systemd dbus polkitd openssh-client dropbear-bin util-linux mount passwd procps iproute2 crun runc lxc busybox-static uidmap strace catatonit lxcfs"
debian13="mmdebstrap debian-archive-keyring"
virtual="qemu-system-x86 e2fsprogs"
# What Debian 13 has no package of: its tests take this host's runsc along.
debian12="runsc criu"
rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

apt_install() {
  if [ "$(id -u)" != 0 ]; then
    echo "deps: as root: apt-get install $*" >&2
    exit 1
  fi
  apt-get update -q
  apt-get install -q -y --no-install-recommends "$@" </dev/null
}

# The tools of the toolchain itself: `cargo` may be rustup's, with no toolchain or no clippy behind it.
rust_is_ready() {
  version=$(cargo --version 2>/dev/null | cut -d ' ' -f 2)
  [ -n "$version" ] && printf '%s\n' "$rust" "$version" | sort -V -C &&
    cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1
}

if ! command -v dpkg-query >/dev/null; then
  echo "deps: not a Debian; needed: $build $machines $debian13 $virtual, Rust $rust with clippy and rustfmt" >&2
  rust_is_ready
  exit
fi

# The virtual machine has a kernel for this architecture alone.
[ "$(dpkg --print-architecture)" = amd64 ] || virtual=
# shellcheck source=/dev/null
[ "$(. /etc/os-release && echo "${VERSION_ID:-}")" = 12 ] || debian12=

missing=
for package in $build $machines $debian12 $debian13 $virtual; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
# shellcheck disable=SC2086 # a list
[ -z "$missing" ] || apt_install $missing

if ! rust_is_ready && ! command -v rustup >/dev/null; then
  [ "$(id -u)" != 0 ] || apt-get update -q
  if apt-cache show rustup >/dev/null 2>&1; then
    apt_install rustup
  else
    echo "deps: Rust $rust or newer is needed, with clippy and rustfmt; found: ${version:-none}." >&2
    echo "deps: this Debian packages neither that nor rustup. Install rustup by its own means and run this again." >&2
    exit 1
  fi
fi
if ! rust_is_ready; then
  rustup toolchain install stable --profile minimal --component clippy --component rustfmt --no-self-update
  rustup override set stable # for this directory: the user's default stays
  rust_is_ready || {
    echo "deps: rustup's stable is ${version:-absent}, older than the $rust needed" >&2
    exit 1
  }
fi
