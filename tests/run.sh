#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Every test of the workspace, or those that the arguments choose, and one closing line that sums up what the test
# programs reported. A test that could not run here says SKIP, is counted by the test runner as passed, and by this as
# skipped.
set -u
cd "$(dirname "$0")/.." || exit
results=${CARGO_TARGET_DIR:-target}/ct-tests
mkdir -p "$results" || exit
rm -f "$results"/skipped "$results"/status.* "$results"/log.*

# A list, split where it is used. What a shell starts beside itself ignores these two signals, and so would what is tested.
# shellcheck disable=SC2086
cargo_test="env --default-signal=INT,QUIT ${CARGO:-cargo} test ${CARGO_FLAGS-} --workspace --no-fail-fast"

# Runs the tests that the arguments choose: what they say goes to log.here, too, and how that ended to status.here.
run() {
  {
    $cargo_test "$@"
    echo $? >"$results/status.here"
  } 2>&1 | tee "$results/log.here"
}

if [ $# -gt 0 ]; then
  run "$@"
else
  # Most tests wait for a systemd most of the time, and those on the virtual machine for an emulator: side by side. The
  # latter in a process group of their own, which an interrupted run takes along.
  : "${RUST_TEST_THREADS:=$(($(nproc) * 2))}"
  export RUST_TEST_THREADS
  setsid $cargo_test --test virtual_machine >"$results/log.machine" 2>&1 &
  machine=$!
  trap 'kill -- "-$machine" 2>/dev/null' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  run
  wait "$machine"
  echo $? >"$results/status.machine"
  cat "$results/log.machine"
fi

touch "$results/skipped"
awk '
  FILENAME == ARGV[1]            { skipped++; next }
  FILENAME ~ /\/status\.[^\/]*$/ { status = status || $1; parts++; next }
  /^test result: /               { passed += $4; failed += $6; ignored += $8 }
  END {
    if (status && !failed) print "A test program did not compile, or ended without its totals: not all tests ran."
    printf "%d passed, %d failed, %d skipped\n", passed - skipped, failed, skipped + ignored
    exit status
  }
' "$results/skipped" "$results"/status.* "$results"/log.*
