#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Every test of the workspace, and one closing line that sums up what the test programs reported.
# A test that could not run here says SKIP, is counted by the test runner as passed, and by this as skipped.
set -u
cd "$(dirname "$0")/.." || exit
results=${CARGO_TARGET_DIR:-target}/ct-tests
mkdir -p "$results" || exit
rm -f "$results/skipped" "$results/status"

# shellcheck disable=SC2086 # CARGO_FLAGS is a list
{
  ${CARGO:-cargo} test ${CARGO_FLAGS-} --workspace --no-fail-fast "$@"
  echo $? >"$results/status"
} 2>&1 | tee "$results/log"

touch "$results/skipped"
status=$(cat "$results/status")
awk -v status="$status" '
  FILENAME == ARGV[1] { skipped++; next }
  /^test result: /    { passed += $4; failed += $6; ignored += $8 }
  END {
    if (status && !failed) print "A test program did not compile, or ended without its totals: not all tests ran."
    printf "%d passed, %d failed, %d skipped\n", passed - skipped, failed, skipped + ignored
  }
' "$results/skipped" "$results/log"
exit "$status"
