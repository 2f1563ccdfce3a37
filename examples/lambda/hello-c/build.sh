#!/bin/sh
# Builds the program and packs it as the code of a `provided` function: a zip with `bootstrap` in it.
# Linked statically, it runs on any Linux: here, in any image, and at AWS.
set -eu
cd "$(dirname "$0")"
out=${1:-$PWD}
# shellcheck disable=SC2046
cc -O2 -static -o "$out/bootstrap" hello.c $(pkg-config --cflags --libs heddle-function)
cd "$out"
rm -f hello-c.zip
zip -q hello-c.zip bootstrap
