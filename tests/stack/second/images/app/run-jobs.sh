#!/bin/sh
# usage: run-jobs.sh [queue,queue]
# Without mingle and gossip: this Celery may stop consuming for good when Redis comes back while a worker talks to its neighbours.
set -eu
cd /srv/app
exec celery --app backend.jobs worker --hostname "jobs@%h" --queues "${1:-invoices,mails}" --concurrency "${ORDERS_JOBS_PROCESSES:-2}" \
    --without-mingle --without-gossip --without-heartbeat --loglevel "${ORDERS_LOG_LEVEL:-INFO}"
