"""What both the API and the tasks do with the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from .models import Item, LlmUsage

if TYPE_CHECKING:
    from .llm import Answer


def record_usage(session: Session, answer: Answer) -> None:
    session.add(
        LlmUsage(provider=answer.provider, model=answer.model, input_tokens=answer.input_tokens, output_tokens=answer.output_tokens, cost_usd=answer.cost_usd)
    )
    session.commit()


def costs(session: Session, days: int) -> dict[str, Any]:
    since = datetime.now(UTC) - timedelta(days=days)
    rows = session.execute(
        select(LlmUsage.provider, LlmUsage.model, func.count(), func.sum(LlmUsage.input_tokens), func.sum(LlmUsage.output_tokens), func.sum(LlmUsage.cost_usd))
        .where(LlmUsage.created_at >= since)
        .group_by(LlmUsage.provider, LlmUsage.model)
        .order_by(LlmUsage.provider, LlmUsage.model)
    ).all()
    models = [
        {"provider": provider, "model": model, "calls": calls, "input_tokens": used_in, "output_tokens": used_out, "cost_usd": float(cost)}
        for provider, model, calls, used_in, used_out, cost in rows
    ]
    return {"days": days, "total_usd": round(sum(entry["cost_usd"] for entry in models), 6), "models": models}


def sales_report(session: Session, days: int) -> list[dict[str, Any]]:
    """Prices by day and status: reads every item of the period, and sorts each group for its percentiles."""
    day = func.date_trunc("day", Item.created_at)
    since = datetime.now(UTC) - timedelta(days=days)
    rows = session.execute(
        select(
            day,
            Item.status,
            func.count(),
            func.count(func.distinct(Item.name)),
            func.avg(Item.price),
            func.percentile_cont(0.5).within_group(Item.price),
            func.percentile_cont(0.95).within_group(Item.price),
        )
        .where(Item.created_at >= since)
        .group_by(day, Item.status)
        .order_by(day, Item.status)
    ).all()
    return [
        {
            "day": when.date().isoformat(),
            "status": status,
            "items": items,
            "names": names,
            "average": round(float(average), 2),
            "median": float(median),
            "p95": float(p95),
        }
        for when, status, items, names, average, median, p95 in rows
    ]
