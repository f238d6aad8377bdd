"""One JSON object a line on standard output."""

from __future__ import annotations

import json
import logging
import logging.config
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)

EXTRA = ("method", "path", "status", "duration_ms", "client", "task")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace_id.get():
            entry["trace_id"] = trace_id.get()
        entry.update({name: getattr(record, name) for name in EXTRA if hasattr(record, name)})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def logging_config(level: str) -> dict[str, Any]:
    """For logging.config.dictConfig; names gunicorn's and uvicorn's loggers, so that they follow it too."""
    followers = ("gunicorn.error", "uvicorn", "uvicorn.error")
    quiet = ("gunicorn.access", "uvicorn.access", "httpx", "httpx2", "httpcore", "httpcore2", "openai", "anthropic", "alembic.runtime.plugins")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
        "root": {"level": level.upper(), "handlers": ["stdout"]},
        "loggers": {
            **{name: {"level": level.upper(), "handlers": ["stdout"], "propagate": False} for name in followers},
            **{name: {"level": "WARNING"} for name in quiet},
        },
    }


def configure_logging(level: str) -> None:
    logging.config.dictConfig(logging_config(level))
