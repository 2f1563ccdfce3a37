#!/bin/sh
# A function in shell: socat (Debian package socat) listens and starts answer.sh for each connection.
set -eu
cd "$(dirname "$0")"
command -v socat >/dev/null || { echo "hello-shell needs socat: apt-get install socat" >&2; exit 1; }
if [ -n "${HEDDLE_SOCKET:-}" ]; then
    exec socat "UNIX-LISTEN:$HEDDLE_SOCKET,fork,mode=600,backlog=128" EXEC:./answer.sh
fi
exec socat "TCP-LISTEN:${PORT:-8000},fork,bind=127.0.0.1,reuseaddr,backlog=128" EXEC:./answer.sh
