#!/bin/sh
# Makes the cluster, the application's role and its database when the volume is empty, then becomes the server.
set -eu

data=/srv/pgdata/15
config=/etc/postgresql/postgresql.conf

if [ ! -s "$data/PG_VERSION" ]; then
    rm -rf "$data.new"
    initdb --pgdata="$data.new" --encoding=UTF8 --locale=C.UTF-8 --auth-local=peer --auth-host=scram-sha-256 >/dev/null
    pg_ctl --pgdata="$data.new" --silent --wait --log=/tmp/initdb.log start \
        --options="-c config_file=$config -c data_directory=$data.new -c listen_addresses=''"
    psql --quiet --set=ON_ERROR_STOP=1 --set=password="$(cat /run/secrets/db_password)" <<'SQL'
CREATE ROLE orders_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE orders OWNER orders_app;
REVOKE ALL ON DATABASE orders FROM PUBLIC;
SQL
    pg_ctl --pgdata="$data.new" --silent --wait --mode=fast stop
    mv "$data.new" "$data"
fi

exec postgres -c config_file="$config"
