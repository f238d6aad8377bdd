from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment; an empty variable counts as unset."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    database_url: str
    database_pool_size: int = 5
    database_max_overflow: int = 10
    database_pool_timeout: float = 30

    redis_url: str = "redis://redis:6379/0"
    celery_broker_url: str = "redis://redis:6379/1"
    celery_result_backend: str = "redis://redis:6379/2"

    jwt_secret_key: str = "change-me-in-production-change-me-in-production"
    jwt_expire_minutes: int = 60
    rate_limit: int = 6000  # requests a minute for each user
    cache_seconds: int = 60

    openai_api_key: str = ""
    anthropic_api_key: str = ""
    openai_base_url: str = "https://api.openai.com/v1"
    anthropic_base_url: str = "https://api.anthropic.com"
    default_llm_provider: Literal["openai", "anthropic"] = "anthropic"
    default_model: str = "claude-sonnet-4-5-20250929"
    llm_timeout: float = 60
    llm_max_retries: int = 2

    log_level: str = "INFO"
    debug: bool = False


@lru_cache
def get_settings() -> Settings:
    return Settings()  # type: ignore[call-arg]  # database_url comes from the environment
