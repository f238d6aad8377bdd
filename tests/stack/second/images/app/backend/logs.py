"""One plain line an event; a traceback follows its line."""

from __future__ import annotations

FORMAT = "%(asctime)s %(levelname)s [%(name)s] %(message)s"


def config(level: str) -> dict:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": FORMAT}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "plain"}},
        "root": {"level": level, "handlers": ["stdout"]},
        "loggers": {
            "gunicorn.error": {"level": level, "handlers": ["stdout"], "propagate": False, "qualname": "gunicorn.error"},
            "gunicorn.access": {"level": level, "handlers": [], "propagate": False, "qualname": "gunicorn.access"},
            "httpx": {"level": "WARNING"},
        },
    }
