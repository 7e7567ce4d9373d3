#!/usr/bin/env bash
# Builds the release twice, of the committed state, in two directories, without ccache; the packages must be the same to the byte. Prints
# which files differ when they are not. Usage: reproducible.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
mkdir -p "${1:-$PWD/build}"
work=$(mktemp -d "${1:-$PWD/build}/reproducible-XXXXXX")
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH CCACHE_DISABLE=1
# One commit, though somebody may commit meanwhile.
for name in one another-with-a-longer-name; do
  git clone -q . "$work/$name"
done
[ "$(git -C "$work/one" rev-parse HEAD)" = "$(git -C "$work/another-with-a-longer-name" rev-parse HEAD)" ]
for name in one another-with-a-longer-name; do
  (cd "$work/$name" && ./run deb)
done
sha256sum "$work"/*/build/release/bot-bottle_*.deb
[ "$(sha256sum "$work"/*/build/release/bot-bottle_*.deb | cut -d' ' -f1 | sort -u | wc -l)" = 1 ] && { echo "the same to the byte"; exit 0; }
for name in one another-with-a-longer-name; do
  dpkg-deb -R "$work/$name"/build/release/bot-bottle_*.deb "$work/$name.tree"
  (cd "$work/$name.tree" && find . -type f -exec sha256sum {} + | sort -k 2) >"$work/$name.sums"
done
diff "$work/one.sums" "$work/another-with-a-longer-name.sums" || true
echo "error: the two packages differ" >&2
exit 1
