#!/bin/sh
# usage: installed.sh CMAKE BUILD PROGRAM...
# Installed programs look for libraries in the folders that the built ones look in.
cmake=$1
build=$2
shift 2
command -v readelf >/dev/null || { echo 'there is no readelf'; exit 1; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
"$cmake" --install "$build" --prefix "$folder" >"$folder/log" || { cat "$folder/log"; exit 1; }
looks_in() { readelf -d "$1" | sed -nE 's/.*\((RPATH|RUNPATH)\).*\[(.*)\]/\2/p' | sed 's/:*$//'; }
for program in "$@"; do
    installed=$(find "$folder" -type f -name "$(basename "$program")")
    [ -n "$installed" ] || { echo "$program is not installed"; exit 1; }
    if [ "$(looks_in "$program")" != "$(looks_in "$installed")" ]; then
        printf '%s:\n%s\ninstalled:\n%s\n' "$program" "$(looks_in "$program")" "$(looks_in "$installed")"
        exit 1
    fi
done
