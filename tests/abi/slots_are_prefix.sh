#!/bin/sh
# The functions of every table of a released version (slots_X_Y.txt) are the first ones of today's: none is inserted, renamed,
# moved or removed. Usage: slots_are_prefix.sh INCLUDE_DIRECTORY LIST
set -eu
status=0
while read -r header table slots; do
  today=$(awk -v table="$table" '
    $0 ~ "^typedef struct " table " " { inside = 1 }
    inside && match($0, /\(\*[a-z_]+\)\(/) { printf "%s ", substr($0, RSTART + 2, RLENGTH - 4) }
    inside && $0 ~ "^} " table ";" { exit }' "$1/bot_bottle/$header")
  case "$today" in
    "$slots "*) ;;
    *) echo "$table: was '$slots', is '$today'"; status=1 ;;
  esac
done < "$2"
exit $status
