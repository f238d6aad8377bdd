from __future__ import annotations

import logging

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from kombu.exceptions import OperationalError as QueueError
from redis.exceptions import RedisError
from sqlalchemy import exc

from . import metrics
from .llm import LlmError
from .middleware import RateLimitMiddleware, RequestMiddleware
from .routes import agents, auth, health, items, reports, tasks
from .settings import get_settings

logger = logging.getLogger(__name__)

app = FastAPI(title="AIOps reference application", version="1.4.0", debug=get_settings().debug)
app.add_middleware(RateLimitMiddleware, prefix="/api/")
app.add_middleware(RequestMiddleware)
for module in (health, auth, items, reports, tasks, agents):
    app.include_router(module.router)


@app.exception_handler(exc.OperationalError)
@app.exception_handler(exc.TimeoutError)
async def database_unavailable(request: Request, error: exc.SQLAlchemyError) -> JSONResponse:
    logger.error("database unavailable: %s", str(error).splitlines()[0], exc_info=error, extra={"path": request.url.path})
    return JSONResponse({"detail": "The database is not available"}, 503)


@app.exception_handler(QueueError)
@app.exception_handler(RedisError)
async def queue_unavailable(request: Request, error: Exception) -> JSONResponse:
    logger.error("task queue unavailable: %s", error, exc_info=error, extra={"path": request.url.path})
    return JSONResponse({"detail": "The task queue is not available"}, 503)


@app.exception_handler(LlmError)
async def llm_failed(request: Request, error: LlmError) -> JSONResponse:
    logger.error("LLM call failed: %s", error.detail, exc_info=error, extra={"path": request.url.path})
    return JSONResponse({"detail": error.detail}, error.status, {"Retry-After": error.retry_after} if error.retry_after else None)


@app.get("/metrics", include_in_schema=False)
def prometheus() -> Response:
    content, media_type = metrics.exposition()
    return Response(content, media_type=media_type)
