#!/bin/sh
# Says what it does. The files `hold` and `fail` beside it make it wait and fail.
cat >/dev/null
here=$(dirname "$0")
echo "$1 begins"
while [ -e "$here/hold" ]; do sleep 0.05; done
printf '\033]0;title\007\033[31m%s\033[0m [bold]ends[/bold]\n' "$1"
[ ! -e "$here/fail" ] || exit 3
