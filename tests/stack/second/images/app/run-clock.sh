#!/bin/sh
set -eu
cd /srv/app
exec celery --app backend.jobs beat --schedule /tmp/clock --pidfile= --loglevel "${ORDERS_LOG_LEVEL:-INFO}"
