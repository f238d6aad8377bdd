"""The Redis server behind the jobs, used for the cache as well."""

from __future__ import annotations

import json
import logging
from typing import Any, Callable

import redis

from backend.settings import settings

log = logging.getLogger("backend.cache")


client = redis.Redis(
    host=settings().queue_host,
    port=settings().queue_port,
    password=settings().queue_password,
    db=0,
    socket_timeout=2,
    socket_connect_timeout=2,
    health_check_interval=30,
)


def cached(key: str, seconds: int, make: Callable[[], Any]) -> Any:
    """The kept value, or a new one; a cache that is away only costs time."""
    key = "orders:cache:" + key
    try:
        kept = client.get(key)
    except redis.RedisError as error:
        log.warning("cache not readable: %s", error)
        return make()
    if kept is not None:
        return json.loads(kept)
    value = make()
    try:
        client.set(key, json.dumps(value), ex=seconds)
    except redis.RedisError as error:
        log.warning("cache not writable: %s", error)
    return value
