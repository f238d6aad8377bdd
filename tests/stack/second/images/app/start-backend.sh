#!/bin/sh
# The schema first, then the first user, then the server.
set -eu
cd /srv/app
alembic --config alembic.ini upgrade head
python3 -m backend.users
exec gunicorn --config gunicorn.conf.py backend.main:app
