#!/bin/sh
# nginx looks names up anew only through a resolver named in its configuration.
set -e
resolver=$(awk '$1 == "nameserver" {print $2; exit}' /etc/resolv.conf)
sed -e "s|@RESOLVER@|${resolver:-127.0.0.11}|" -e "s|@API_UPSTREAM@|$API_UPSTREAM|" /etc/nginx/nginx.conf.template >/etc/nginx/nginx.conf
exec "$@"
