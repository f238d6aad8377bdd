#!/bin/sh
# The password stays out of the command line: the server reads it from a file that only it can read.
set -eu
umask 077
printf 'requirepass "%s"\n' "$(cat /run/secrets/queue_password)" > /tmp/auth.conf
exec redis-server /etc/redis/queue.conf
