#!/bin/sh
# usage: run-jobs.sh [queue,queue]
set -eu
cd /srv/app
exec celery --app backend.jobs worker --hostname "jobs@%h" --queues "${1:-invoices,mails}" --concurrency "${ORDERS_JOBS_PROCESSES:-2}" --loglevel "${ORDERS_LOG_LEVEL:-INFO}"
