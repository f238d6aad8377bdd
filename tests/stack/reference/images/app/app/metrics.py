from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

REQUESTS = Histogram("http_request_duration_seconds", "Time to answer a request", ["method", "route", "status"])
LLM_TOKENS = Counter("llm_tokens_total", "Tokens used", ["provider", "model", "direction"])
LLM_ERRORS = Counter("llm_errors_total", "Calls that failed for good", ["provider", "reason"])


def exposition() -> tuple[bytes, str]:
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST
