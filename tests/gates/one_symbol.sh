#!/bin/sh
# A plugin exports bb_plugin_entry and nothing else: stray weak symbols would be merged across plugins.
set -eu
exported=$(nm -D --defined-only "$1" | awk '{print $NF}')
if [ "$exported" != "bb_plugin_entry" ]; then
  echo "$1 exports:"; echo "$exported"
  echo "expected bb_plugin_entry alone: link with plugin-api/plugin.version"
  exit 1
fi
