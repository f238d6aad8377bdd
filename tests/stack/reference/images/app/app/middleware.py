from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import ratelimit
from .logs import trace_id
from .metrics import REQUESTS

logger = logging.getLogger("app.request")


class RequestMiddleware:
    """A trace id, a line in the log and a measurement for each request; an exception becomes a 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request, started, status = Request(scope), time.perf_counter(), 0
        given = request.headers.get("X-Trace-Id", "")
        trace = given if re.fullmatch(r"[\w-]{8,64}", given) else uuid.uuid4().hex
        token = trace_id.set(trace)

        async def send_traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Trace-Id"] = trace
            await send(message)

        try:
            await self.app(scope, receive, send_traced)
        except Exception as error:
            logger.exception("unhandled %s in %s %s", type(error).__name__, request.method, request.url.path, extra={"path": request.url.path})
            if not status:
                await JSONResponse({"detail": "Internal Server Error"}, 500)(scope, receive, send_traced)
        finally:
            self.record(request, status, time.perf_counter() - started)
            trace_id.reset(token)

    def record(self, request: Request, status: int, seconds: float) -> None:
        path = request.url.path
        route = getattr(request.scope.get("route"), "path", path if "endpoint" in request.scope else "unmatched")
        REQUESTS.labels(request.method, route, str(status)).observe(seconds)
        quiet = path in ("/health", "/ready", "/metrics") and status < 400
        logger.log(
            logging.DEBUG if quiet else logging.INFO if status < 500 else logging.WARNING,
            "%s %s %s",
            request.method,
            path,
            status,
            extra={
                "method": request.method,
                "path": path,
                "status": status,
                "duration_ms": round(seconds * 1000, 1),
                "client": request.client.host if request.client else None,
            },
        )


class RateLimitMiddleware:
    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app, self.prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self.prefix):
            return await self.app(scope, receive, send)
        window = await ratelimit.check(Request(scope))
        if window is None:
            return await self.app(scope, receive, send)
        if not window.allowed:
            refusal = JSONResponse({"detail": f"Rate limit of {window.limit} a minute exceeded"}, 429, {**window.headers, "Retry-After": str(window.reset)})
            return await refusal(scope, receive, send)

        async def send_limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(window.headers)
            await send(message)

        await self.app(scope, receive, send_limited)
