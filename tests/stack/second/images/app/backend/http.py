"""Around every request: its line in the log, its figures, and an answer when the code failed."""

from __future__ import annotations

import logging
import time

from prometheus_client import Counter, Histogram
from redis import RedisError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.responses import JSONResponse

log = logging.getLogger("backend.http")
REQUESTS = Counter("orders_http_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("orders_http_request_seconds", "Time to answer", ["route"])
QUIET = {"/health", "/ready", "/metrics"}
SLOW = 1.0


def failure(error: Exception) -> JSONResponse:
    if isinstance(error, (OperationalError, PoolTimeout)):
        return JSONResponse({"detail": "the database does not answer"}, 503)
    if isinstance(error, RedisError):
        return JSONResponse({"detail": "the queue does not answer"}, 503)
    return JSONResponse({"detail": "internal error"}, 500)


class Requests:
    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def note(message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method, path = scope["method"], scope["path"]
        try:
            await self.app(scope, receive, note)
        except Exception as error:  # whatever the code let through becomes one logged error and one answer
            log.exception("%s %s failed", method, path)
            if not status:
                await failure(error)(scope, receive, note)
        seconds = time.perf_counter() - started
        route = getattr(scope.get("route"), "path", "unknown")
        REQUESTS.labels(method, route, str(status)).inc()
        SECONDS.labels(route).observe(seconds)
        if path not in QUIET or status >= 400:
            level = logging.WARNING if seconds > SLOW else logging.INFO
            log.log(level, "%s %s %d %d ms", method, path, status, seconds * 1000)
