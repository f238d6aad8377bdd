from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session

from ..db import get_session
from ..security import User
from ..services import costs, sales_report
from . import API

router = APIRouter(prefix=API, tags=["reports"])


@router.get("/reports/heavy")
def heavy_report(user: User, session: Annotated[Session, Depends(get_session)], days: Annotated[int, Query(ge=1, le=3650)] = 365) -> dict[str, Any]:
    """Prices of the period by day and status, computed anew each time."""
    rows = sales_report(session, days)
    return {"days": days, "items": sum(row["items"] for row in rows), "rows": rows}


@router.get("/costs/summary")
def costs_summary(user: User, session: Annotated[Session, Depends(get_session)], days: Annotated[int, Query(ge=1, le=365)] = 30) -> dict[str, Any]:
    return costs(session, days)
