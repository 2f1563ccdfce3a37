#!/bin/sh
# archive.sh PARTS SYMBOLS OUTPUT FOLDER - make a static library in which only the named symbols can
# be seen: a function may have names of its own that are ours inside.
set -eu
mkdir -p "$4"
ld -r --whole-archive "$1" -o "$4/function.o"
missing=$(nm -u "$4/function.o" | sed -n 's/^ *U \(hd_.*\)/\1/p')
if [ -n "$missing" ]; then
    echo "libheddle-function.a needs files that src/native/meson.build does not list, for:" >&2
    echo "$missing" >&2
    exit 1
fi
objcopy --keep-global-symbols="$2" "$4/function.o"
rm -f "$3"
ar crs "$3" "$4/function.o"
