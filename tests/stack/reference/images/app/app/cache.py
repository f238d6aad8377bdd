"""Answers kept in Redis for a while; without Redis there is no cache, and that is all."""

from __future__ import annotations

import logging
from functools import lru_cache

import redis

from .settings import get_settings

logger = logging.getLogger(__name__)


@lru_cache
def get_redis() -> redis.Redis:
    return redis.Redis.from_url(get_settings().redis_url, socket_connect_timeout=2, socket_timeout=2, decode_responses=True)


def cache_get(key: str) -> str | None:
    try:
        return get_redis().get(f"cache:{key}")  # type: ignore[return-value]  # the synchronous client
    except redis.RedisError as error:
        logger.warning("cache read failed: %s", error)
        return None


def cache_set(key: str, value: str) -> None:
    try:
        get_redis().set(f"cache:{key}", value, ex=get_settings().cache_seconds)
    except redis.RedisError as error:
        logger.warning("cache write failed: %s", error)


def cache_delete(key: str) -> None:
    try:
        get_redis().unlink(f"cache:{key}")
    except redis.RedisError as error:
        logger.warning("cache delete failed: %s", error)
