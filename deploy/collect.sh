#!/bin/sh
# Copies programs out of Debian packages to a folder, with the shared libraries that they load and
# with what scanners of images look for, the description of each package that something is from:
#   collect.sh PACKAGES TO PROGRAM...
# It runs none of them: they may be of another architecture. Needs readelf.
set -eu
packages=$1
to=$2
shift 2
tree=$(mktemp -d)
list=$(mktemp)

copy() {
  if [ -e "$to$1" ]; then return; fi
  mkdir -p "$to$(dirname "$1")"
  cp -L "$tree$1" "$to$1"
  # By itself, so that a failure ends all.
  dynamic=$(readelf --dynamic --wide "$tree$1")
  for library in $(printf '%s\n' "$dynamic" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'); do
    case "$library" in
      # The image has these: a part of another build would not fit the rest.
      ld-linux*.so.* | libc.so.6 | libm.so.6 | libresolv.so.2 | libgcc_s.so.1) ;;
      libdl.so.2 | libpthread.so.0 | librt.so.1 | libutil.so.1) ;;
      *) copy_library "$library" "$1" ;;
    esac
  done
}

copy_library() {
  # Below /usr alone: /lib is a link in the image, and nothing may take its place.
  for found in "$tree"/usr/lib/*-linux-gnu/"$1"; do
    if [ -e "$found" ]; then
      copy "${found#"$tree"}"
      return
    fi
  done
  echo "collect.sh: $2 needs $1, which is in none of the packages" >&2
  exit 1
}

# Says of which package a part is.
describe() {
  dpkg-deb --fsys-tarfile "$1" | tar --list >"$list"
  while read -r name; do
    if [ -f "$to${name#.}" ]; then
      dpkg-deb --field "$1" >"$to/var/lib/dpkg/status.d/$(dpkg-deb --field "$1" Package)"
      return
    fi
  done <"$list"
}

for package in "$packages"/*.deb; do
  dpkg-deb --extract "$package" "$tree"
done
for program; do
  copy "$program"
done
mkdir -p "$to/var/lib/dpkg/status.d"
for package in "$packages"/*.deb; do
  describe "$package"
done
rm -rf "$tree" "$list"
