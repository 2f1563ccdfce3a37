#!/bin/sh
# Answers the requests of one connection, one after the other: request on stdin, answer on stdout.
cr=$(printf '\r')

while IFS=' ' read -r method target _; do
    length=0
    while IFS= read -r line; do
        line=${line%"$cr"}
        [ -n "$line" ] || break
        name=$(printf '%s' "${line%%:*}" | tr '[:upper:]' '[:lower:]')
        case $name in
        content-length) length=$(printf '%s' "${line#*:}" | tr -dc '0-9') ;;
        transfer-encoding)
            printf 'HTTP/1.1 411 Length Required\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
            exit 0
            ;;
        esac
    done
    [ "${length:-0}" -eq 0 ] || head -c "$length" >/dev/null

    body="Hello from $(uname -s) shell, you asked for ${target%%\?*} with $method
"
    printf 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n' "${#body}"
    [ "$method" = HEAD ] || printf '%s' "$body"
done
