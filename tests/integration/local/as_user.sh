#!/bin/sh
# Runs a test program as an ordinary user: the one who calls, or (as root) an unprivileged uid. Fails where that cannot work.
set -eu
if [ "$(id -u)" -ne 0 ]; then exec "$@"; fi
exec setpriv --reuid=1000 --regid=1000 --clear-groups env -i HOME=/nonexistent PATH=/usr/local/bin:/usr/bin:/bin "$@"
