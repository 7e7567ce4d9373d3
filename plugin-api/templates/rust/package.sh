#!/bin/sh
# Builds the library and puts it beside plugin.toml: a plugin's directory, ready for ~/.bot-bottle/contrib.
set -eu
umask 022  # what others may write to is refused
cd "$(dirname "$0")"
cargo build --release --offline --quiet
mkdir -p plugins/@NAME@
cp "${CARGO_TARGET_DIR:-target}/release/lib@CRATE@.so" plugins/@NAME@/@NAME@.so
cp plugin.toml plugins/@NAME@/
