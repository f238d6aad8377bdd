"""What the environment says: every name begins with ORDERS_, every password is a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

SECRETS = Path("/run/secrets")


class SettingMissing(RuntimeError):
    pass


def _text(name: str, default: str | None = None) -> str:
    value = os.environ.get("ORDERS_" + name, default)
    if value is None or value == "":
        raise SettingMissing(f"ORDERS_{name} is not set")
    return value


def _secret(name: str, default: str) -> str:
    path = Path(os.environ.get(f"ORDERS_{name}_FILE", SECRETS / default))
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingMissing(f"the secret {path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class Settings:
    db_host: str
    db_port: int
    db_name: str
    db_user: str
    db_password: str
    db_pool: int
    db_pool_overflow: int
    db_pool_timeout: float
    queue_host: str
    queue_port: int
    queue_password: str
    token_minutes: int
    assistant_url: str
    assistant_model: str
    assistant_timeout: float
    assistant_tries: int
    log_level: str

    @property
    def queue_url(self) -> str:
        return f"redis://:{quote(self.queue_password, safe='')}@{self.queue_host}:{self.queue_port}/0"

    @property
    def token_key(self) -> str:
        return _secret("TOKEN_KEY", "token_key")

    @property
    def assistant_key(self) -> str:
        return _secret("ASSISTANT_KEY", "assistant_key")


@lru_cache(maxsize=1)
def settings() -> Settings:
    return Settings(
        db_host=_text("DB_HOST"),
        db_port=int(_text("DB_PORT", "5432")),
        db_name=_text("DB_NAME"),
        db_user=_text("DB_USER"),
        db_password=_secret("DB_PASSWORD", "db_password"),
        db_pool=int(_text("DB_POOL", "5")),
        db_pool_overflow=int(_text("DB_POOL_OVERFLOW", "10")),
        db_pool_timeout=float(_text("DB_POOL_TIMEOUT", "30")),
        queue_host=_text("QUEUE_HOST"),
        queue_port=int(_text("QUEUE_PORT", "6379")),
        queue_password=_secret("QUEUE_PASSWORD", "queue_password"),
        token_minutes=int(_text("TOKEN_MINUTES", "60")),
        assistant_url=_text("ASSISTANT_URL", "https://api.anthropic.com"),
        assistant_model=_text("ASSISTANT_MODEL", "claude-sonnet-4-5"),
        assistant_timeout=float(_text("ASSISTANT_TIMEOUT", "60")),
        assistant_tries=int(_text("ASSISTANT_TRIES", "3")),
        log_level=_text("LOG_LEVEL", "INFO").upper(),
    )
