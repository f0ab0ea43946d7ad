#!/bin/sh
# SPDX-License-Identifier: MIT
# restart DAEMON GUEST|none: in the control domain, so that the serial line is no part of what is measured: kills a daemon and
# prints the hundredths of a second until it answers, and those that starting it (with --check) and a question to it take. An
# answer is a node that was written before (joist-stored), a list (joistd), what a guest says on its console (joist-consoled).
# With `none` nothing is asked before the kill: the daemon may be stopped.
up() {
    read -r now _ </proc/uptime
    echo "${now%.*}${now#*.}"
}

answers() {
    case $1 in
    joist-stored) xenstore-read -s /test/answer ;;
    joistd) joist list ;;
    joist-consoled)
        t=$(readlink -f "/run/joist/console/$2") && [ -c "$t" ] && exec 3<>"$t" && echo >&3 &&
            timeout 1 head -c 1 <&3 | grep -q .
        ;;
    esac
}

old=$(pidof "$1")
start=$(up)
if [ "$2" != none ]; then
    (answers "$1" "$2") >/dev/null 2>&1
    "/usr/libexec/joist/$1" --check >/dev/null 2>&1
fi
asking=$(($(up) - start))
start=$(up)
kill -9 "$old"
until (answers "$1" "$2") >/dev/null 2>&1; do
    [ $(($(up) - start)) -gt 3000 ] && break
    usleep 10000
done
end=$(up)
new=$(pidof "$1")
[ -n "$new" ] && [ "$new" != "$old" ] || exit 1
echo "RESTART $((end - start)) $asking"
