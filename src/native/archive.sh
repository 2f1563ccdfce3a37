#!/bin/sh
# archive.sh PARTS SYMBOLS OUTPUT FOLDER - make a static library in which only the named symbols can
# be seen: a function may have names of its own that are ours inside.
set -eu
mkdir -p "$4"
ld -r --whole-archive "$1" -o "$4/function.o"
objcopy --keep-global-symbols="$2" "$4/function.o"
rm -f "$3"
ar crs "$3" "$4/function.o"
