#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs what the tests ask for, one command after the other.
#
#   asked:     DEADLINE(seconds) BYTES(script) BYTES(input) newline script input
#   answered:  STATUS BYTES(output) BYTES(errors) newline output errors
set -u
exec 3<>/dev/vport0p1
mkdir -p /run/ct-tests
cd / || exit
number=0
echo ready >&3
while read -r deadline script input <&3; do
  # New files: what the last command left running may still write into its own.
  number=$((number + 1)) files=/run/ct-tests/$number
  head -c "$script" <&3 >$files.script
  if [ "$input" = 0 ]; then : >$files.input; else head -c "$input" <&3 >$files.input; fi
  (
    echo 0 >/proc/self/oom_score_adj
    exec timeout -s KILL "$deadline" sh $files.script <$files.input >$files.output 2>$files.errors 3>&-
  )
  status=$?
  sizes=$(stat -c %s $files.output $files.errors)
  # shellcheck disable=SC2086 # two words
  set -- $sizes
  echo "$status $1 $2" >&3
  [ "$1" = 0 ] || head -c "$1" $files.output >&3
  [ "$2" = 0 ] || head -c "$2" $files.errors >&3
  rm $files.*
done
