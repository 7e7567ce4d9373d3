#!/bin/sh
# Whether the rooms that macOS gets compile there, looked at from Linux: clang's syntax check for aarch64-macos with zig's
# headers of it, and Debian's header-only libraries behind them. No Mac, no linking, nothing is run.
#   tests/gates/macos_syntax.sh [FILE…]      the compiler is put into build/macos-zig once (pip's ziglang)
set -eu
cd "$(dirname "$0")/../.."
venv=build/macos-zig
if [ ! -x "$venv/bin/python" ]; then
  mkdir -p build
  python3 -m venv "$venv"
fi
"$venv/bin/python" -c 'import ziglang' 2>/dev/null || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check ziglang==0.17.1
# Only what is header-only: the rest of /usr/include is Linux's libc.
include="$venv/include"
mkdir -p "$include"
for name in boost tl fmt openssl; do
  [ -d "/usr/include/$name" ] || { echo "macos_syntax: /usr/include/$name is missing" >&2; exit 1; }
  ln -sfn "/usr/include/$name" "$include/$name"
done
multiarch=$(ls -d /usr/include/*-linux-gnu/openssl 2>/dev/null | head -n 1)
if [ -n "$multiarch" ]; then
  mkdir -p "$venv/multiarch"
  ln -sfn "$multiarch" "$venv/multiarch/openssl"
fi
if [ $# -eq 0 ]; then
  set -- $(ls plugins/backend-driven/*.cpp plugins/backend-driven/program/*.cpp plugins/backend-smolvm/*.cpp plugins/backend-apple/*.cpp | grep -v _linux.cpp)
fi
failed=0
for file in "$@"; do
  if ! "$venv/bin/python" -m ziglang c++ -target aarch64-macos -std=c++23 -c -o "$venv/out.o" -Wall -Wextra -Wno-missing-field-initializers -Wno-missing-designated-field-initializers -DBB_SDK_KNOWS_FAILURE -I. -Iplugin-api/include \
      -idirafter "$include" -idirafter "$venv/multiarch" "$file"; then
    echo "macos_syntax: $file does not compile for macOS" >&2
    failed=1
  fi
done
[ "$failed" -eq 0 ] && echo "macos_syntax: $# files compile for aarch64-macos"
exit "$failed"
