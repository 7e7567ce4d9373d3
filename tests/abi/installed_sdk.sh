#!/bin/sh
# Installs the SDK into an empty prefix and builds the examples with nothing else: CMake package for C++, pkg-config for C.
# Usage: installed_sdk.sh SOURCE BUILD CMAKE CXX CC
set -eu
source=$1 build=$2 cmake=$3 cxx=$4 cc=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cmake" --install "$build" --component plugin-api --prefix "$work/prefix" > /dev/null
mkdir "$work/c"
cp -r "$source/plugin-api/examples/hello-cpp" "$work/hello-cpp"
cp "$source/plugin-api/examples/hello-c/plugin.c" "$work/c"
# A stranger may have a file of any name, and the SDK is not to read it.
mkdir -p "$work/theirs/core/base"
echo '#error "a file of a stranger"' > "$work/theirs/core/base/error.hpp"
"$cmake" -S "$work/hello-cpp" -B "$work/build" "-DCMAKE_PREFIX_PATH=$work/prefix" "-DCMAKE_CXX_COMPILER=$cxx" "-DCMAKE_CXX_FLAGS=-I$work/theirs" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$cmake" --build "$work/build" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
sh "$source/tests/gates/one_symbol.sh" "$work/build/plugins/hello-cpp/hello-cpp.so"
test -f "$work/build/plugins/hello-cpp/plugin.toml"
PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig"
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
"$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror -shared -fPIC $(pkg-config --cflags bot-bottle-plugin-api) \
  "-Wl,--version-script,$(pkg-config --variable=version_script bot-bottle-plugin-api)" "$work/c/plugin.c" -o "$work/c/hello-c.so"
sh "$source/tests/gates/one_symbol.sh" "$work/c/hello-c.so"
