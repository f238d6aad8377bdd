"""So many requests a minute for each user, or each address before the login; counted in Redis."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import lru_cache

import jwt
from limits import RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import storage_from_string
from redis.exceptions import RedisError
from starlette.requests import Request

from .security import decode_token
from .settings import get_settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Window:
    allowed: bool
    limit: int
    remaining: int
    reset: int  # seconds

    @property
    def headers(self) -> dict[str, str]:
        return {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(self.remaining), "X-RateLimit-Reset": str(self.reset)}


@lru_cache
def _limiter() -> FixedWindowRateLimiter:
    storage = storage_from_string(f"async+{get_settings().redis_url}", implementation="redispy", socket_connect_timeout=2, socket_timeout=2)
    assert isinstance(storage, Storage)
    return FixedWindowRateLimiter(storage)


def identity(request: Request) -> str:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        try:
            return f"user:{decode_token(token)['sub']}"
        except jwt.InvalidTokenError:
            pass
    return f"ip:{request.client.host if request.client else 'unknown'}"


async def check(request: Request, count: bool = True) -> Window | None:
    """The caller's window, this request counted; None when Redis cannot be asked: requests pass then."""
    rate, who = RateLimitItemPerMinute(get_settings().rate_limit), identity(request)
    try:
        allowed = await _limiter().hit(rate, who) if count else True
        stats = await _limiter().get_window_stats(rate, who)
    except RedisError as error:
        logger.warning("rate limit not applied, Redis does not answer: %s", error)
        return None
    return Window(allowed, rate.amount, stats.remaining, max(1, round(stats.reset_time - time.time())))
