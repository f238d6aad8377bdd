#!/bin/sh
# Options alone, or a configuration file, start the server; as user redis, like the official image.
set -e

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
    set -- redis-server "$@"
fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis:redis '{}' +
    exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
if [ "$1" = redis-server ] && [ "${2%.conf}" = "$2" ]; then
    shift
    set -- redis-server --protected-mode no --bind '* -::*' "$@"
fi
exec "$@"
