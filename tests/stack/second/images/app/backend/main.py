from __future__ import annotations

import logging
import logging.config

import jwt
import redis
from celery.result import AsyncResult
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.responses import JSONResponse, PlainTextResponse
from kombu.exceptions import OperationalError as QueueError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from backend import assistant, logs, queue, users
from backend.database import session
from backend.http import Requests
from backend.jobs import app as jobs
from backend.jobs import make_invoice
from backend.models import Order
from backend.settings import settings

logging.config.dictConfig(logs.config(settings().log_level))
log = logging.getLogger("backend")
app = FastAPI(title="Orders", version="2.3.1")
app.add_middleware(Requests)


class Login(BaseModel):
    email: str = Field(max_length=200)
    password: str = Field(max_length=200)


class NewOrder(BaseModel):
    customer: str = Field(min_length=1, max_length=200)
    article: str = Field(min_length=1, max_length=200)
    quantity: int = Field(1, ge=1, le=10_000)
    price: float = Field(gt=0, le=1_000_000)
    note: str | None = Field(None, max_length=2000)


class NewInvoice(BaseModel):
    order_id: int | None = None  # left out: the oldest open order


class Question(BaseModel):
    question: str = Field(min_length=1, max_length=20_000)


def user(authorization: str = Header("")) -> dict:
    kind, _space, token = authorization.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise HTTPException(401, "sign in first", {"WWW-Authenticate": "Bearer"})
    try:
        return users.read_token(token)
    except jwt.ExpiredSignatureError as error:
        raise HTTPException(401, "the token has expired", {"WWW-Authenticate": "Bearer"}) from error
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "the token is not valid", {"WWW-Authenticate": "Bearer"}) from error


def shown(order: Order) -> dict:
    return {
        "id": order.id,
        "customer": order.customer,
        "article": order.article,
        "quantity": order.quantity,
        "price": float(order.price),
        "state": order.state,
        "note": order.note,
        "created_at": order.created_at.isoformat(),
    }


@app.get("/health")
async def health() -> dict:
    return {"status": "ok", "version": app.version}


@app.get("/ready")
def ready() -> JSONResponse:
    parts = {"database": "ok", "queue": "ok"}
    try:
        with session() as db:
            db.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        log.error("not ready, database: %s", str(error).splitlines()[0])
        parts["database"] = "failed"
    try:
        queue.client.ping()
    except redis.RedisError as error:
        log.error("not ready, queue: %s", error)
        parts["queue"] = "failed"
    good = set(parts.values()) == {"ok"}
    return JSONResponse({"status": "ready" if good else "not ready", "parts": parts}, 200 if good else 503)


@app.get("/metrics")
def metrics() -> PlainTextResponse:
    return PlainTextResponse(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.post("/api/v1/login")
def login(given: Login) -> dict:
    token = users.login(given.email, given.password)
    if token is None:
        logging.getLogger("backend.login").warning("wrong user or password: %s", given.email)
        raise HTTPException(401, "wrong user or password")
    return {"access_token": token, "token_type": "bearer", "expires_in": settings().token_minutes * 60}


@app.get("/api/v1/orders", dependencies=[Depends(user)])
def list_orders(limit: int = Query(20, ge=1, le=200), before: int | None = None) -> dict:
    """The newest orders first, a page at a time: `before` is the last id of the page before."""

    def count() -> int:
        with session() as db:
            return db.execute(select(func.count()).select_from(Order)).scalar_one()

    wanted = select(Order).order_by(Order.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(Order.id < before)
    total = queue.cached("orders:total", 10, count)
    with session() as db:
        found = db.execute(wanted).scalars().all()
    return {"orders": [shown(order) for order in found], "total": total}


@app.post("/api/v1/orders", status_code=201, dependencies=[Depends(user)])
def create_order(given: NewOrder) -> dict:
    with session() as db:
        order = Order(**given.dict())
        db.add(order)
        db.flush()
        db.refresh(order)
    return shown(order)


SUMMARY = text(
    """
    WITH months AS (
        SELECT article, date_trunc('month', created_at) AS month, count(*) AS orders, sum(quantity * price) AS turnover,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY quantity * price) AS median, count(DISTINCT customer) AS customers
        FROM orders GROUP BY 1, 2
    )
    SELECT article, to_char(month, 'YYYY-MM') AS month, orders, turnover, median, customers,
           sum(turnover) OVER (PARTITION BY article ORDER BY month) AS running,
           rank() OVER (PARTITION BY month ORDER BY turnover DESC) AS place
    FROM months ORDER BY month DESC, place LIMIT 100
    """
)


@app.get("/api/v1/orders/summary", dependencies=[Depends(user)])
def summary() -> dict:
    """Turnover by month and article, over all orders: takes its time on a large table."""
    with session() as db:
        rows = db.execute(SUMMARY).mappings().all()
    return {"rows": [{key: (value if isinstance(value, (str, int)) else float(value)) for key, value in row.items()} for row in rows]}


@app.get("/api/v1/orders/{order_id}", dependencies=[Depends(user)])
def one_order(order_id: int) -> dict:
    with session() as db:
        order = db.get(Order, order_id)
    if order is None:
        raise HTTPException(404, "no such order")
    return shown(order)


@app.post("/api/v1/invoices", status_code=202, dependencies=[Depends(user)])
def create_invoice(given: NewInvoice) -> dict:
    try:
        job = make_invoice.delay(given.order_id)
    except (QueueError, redis.RedisError) as error:
        logging.getLogger("backend.queue").error("invoice not queued: %s", error)
        raise HTTPException(503, "the queue does not answer") from error
    return {"job_id": job.id, "state": "queued"}


@app.get("/api/v1/invoices/{job_id}", dependencies=[Depends(user)])
def invoice(job_id: str) -> dict:
    job = AsyncResult(job_id, app=jobs)
    state = job.state
    result = job.result if state == "SUCCESS" else None
    return {"job_id": job_id, "state": state.lower(), "result": result, "error": str(job.result) if state == "FAILURE" else None}


@app.post("/api/v1/assistant", dependencies=[Depends(user)])
def ask(given: Question) -> dict:
    with session() as db:
        waiting = db.execute(select(func.count()).select_from(select(Order.id).where(Order.state == "open").limit(1000).subquery())).scalar_one()
    try:
        return assistant.ask(given.question, f"Open orders: {waiting}{' or more' if waiting == 1000 else ''}.")
    except assistant.AssistantError as error:
        logging.getLogger("backend.assistant").error("no answer: %s", error)
        raise HTTPException(error.status, "the assistant does not answer") from error
