"""The Celery application: `celery -A app.tasks worker` and `celery -A app.tasks beat`."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from typing import Any

from celery import Celery, signals
from kombu import Queue
from sqlalchemy import exc

from .cache import cache_set, get_redis
from .db import get_engine, session_factory
from .logs import configure_logging, trace_id
from .models import Item
from .services import costs, record_usage, sales_report
from .settings import get_settings

logger = logging.getLogger(__name__)

celery = Celery("aiops", broker=get_settings().celery_broker_url, backend=get_settings().celery_result_backend)
celery.conf.update(
    task_queues=[Queue("celery"), Queue("priority")],
    task_default_queue="celery",
    task_acks_late=True,
    task_track_started=True,
    task_time_limit=900,
    worker_prefetch_multiplier=1,
    result_extended=True,
    result_expires=24 * 3600,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3600, "priority_steps": [0, 3, 6, 9], "queue_order_strategy": "priority", "socket_connect_timeout": 5},
    result_backend_transport_options={"retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}},
    beat_schedule={"refresh-costs": {"task": "app.tasks.refresh_costs", "schedule": 60.0}},
    timezone="UTC",
)


@signals.setup_logging.connect
def _logging(**_: Any) -> None:
    configure_logging(get_settings().log_level)


@signals.worker_process_init.connect
def _after_fork(**_: Any) -> None:
    """Connections do not survive a fork."""
    get_engine().dispose(close=False)
    get_redis().connection_pool.reset()


@signals.task_prerun.connect
def _trace(task_id: str, task: Any, **_: Any) -> None:
    trace_id.set((task.request.headers or {}).get("trace_id") or task_id)


@celery.task
def summarize_text(text: str) -> dict[str, Any]:
    words = re.findall(r"\w+", text.lower())
    return {"words": len(words), "distinct": len(set(words)), "frequent": Counter(words).most_common(5)}


@celery.task(autoretry_for=(exc.OperationalError,), retry_backoff=True, max_retries=3)
def tag_item(item_id: int) -> list[str]:
    """Tag an item with the frequent words of its description."""
    with session_factory()() as session:
        item = session.get(Item, item_id)
        if item is None:
            raise LookupError(f"there is no item {item_id}")
        item.tags = [word for word, _count in Counter(re.findall(r"\w{4,}", item.description.lower())).most_common(5)]
        session.commit()
        return item.tags


@celery.task
def export_report(days: int = 30) -> int:
    """Keep the sales report in the cache; the number of its rows."""
    with session_factory()() as session:
        rows = sales_report(session, days)
    cache_set(f"report:{days}", json.dumps(rows))
    return len(rows)


@celery.task
def review_code(code: str, provider: str | None = None) -> str:
    from . import llm  # the providers' libraries take seconds to import, and beat never needs them

    answer = llm.ask(f"Review this code:\n\n{code}", provider)
    with session_factory()() as session:
        record_usage(session, answer)
    return answer.text


@celery.task(ignore_result=True)
def refresh_costs() -> None:
    with session_factory()() as session:
        cache_set("costs:30", json.dumps(costs(session, 30)))
