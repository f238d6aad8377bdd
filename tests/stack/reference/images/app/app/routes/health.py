from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import text

from ..cache import get_redis
from ..db import get_engine

logger = logging.getLogger(__name__)
router = APIRouter(tags=["health"])
TIMEOUT = 3.0


def check_postgres() -> None:
    with get_engine().connect() as connection:
        connection.execute(text("SELECT 1"))


def check_redis() -> None:
    get_redis().ping()


CHECKS: dict[str, Callable[[], None]] = {"postgres": check_postgres, "redis": check_redis}


@router.get("/health")
async def health() -> dict[str, str]:
    """The process lives; nothing more."""
    return {"status": "ok"}


@router.get("/ready")
async def ready() -> JSONResponse:
    """Whether requests can be served: what they need answers in time."""
    results: dict[str, str] = {}

    async def run(name: str, check: Callable[[], None]) -> None:
        try:
            with anyio.fail_after(TIMEOUT):
                await to_thread.run_sync(check, abandon_on_cancel=True, limiter=limiters[name])
            results[name] = "ok"
        except TimeoutError:
            results[name] = f"no answer within {TIMEOUT:g} s"
        except Exception as error:  # whatever it is, it is the answer
            results[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}" if str(error).strip() else type(error).__name__

    limiters = _limiters()
    async with anyio.create_task_group() as group:
        for name, check in CHECKS.items():
            group.start_soon(run, name, check)
    failed = {name: result for name, result in results.items() if result != "ok"}
    if failed:
        logger.error("not ready: %s", "; ".join(f"{name}: {result}" for name, result in sorted(failed.items())), extra={"path": "/ready", "status": 503})
    return JSONResponse({"status": "not ready" if failed else "ready", "checks": dict(sorted(results.items()))}, 503 if failed else 200)


_threads: dict[str, anyio.CapacityLimiter] = {}


def _limiters() -> dict[str, anyio.CapacityLimiter]:
    """Threads of their own, so that a hung check takes none from the requests."""
    if not _threads:
        _threads.update({name: anyio.CapacityLimiter(4) for name in CHECKS})
    return _threads
