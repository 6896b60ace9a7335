#!/bin/sh
# Copies programs, and the shared libraries that they load, to a folder: collect.sh TO PROGRAM...
set -eu
to=$1
shift
copy() {
  if [ -e "$to$1" ]; then return; fi
  mkdir -p "$to$(dirname "$1")"
  cp -L "$1" "$to$1"
}
for program; do
  copy "$program"
  ldd "$program" 2>/dev/null | while read -r name arrow path rest; do
    case "$name $arrow" in
      /*) copy "$name" ;;
      *' =>') if [ -e "$path" ]; then copy "$path"; fi ;;
    esac
  done
done
