#!/bin/sh
# Builds the program into the instance's own folder, which goes away with it, and becomes it.
set -eu
cd "$(dirname "$0")"
program="${HEDDLE_RUN_DIR:-${TMPDIR:-/tmp}}/hello-c"
cc -std=gnu17 -O2 -Wall -Wextra -pthread -o "$program" hello.c
exec "$program"
