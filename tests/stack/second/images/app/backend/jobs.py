"""What is done behind the user's back: invoices, and the mails about them."""

from __future__ import annotations

import logging
import logging.config
from datetime import UTC, datetime

from celery import Celery
from celery.signals import setup_logging, worker_process_init
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from backend import logs
from backend.database import engine, session
from backend.models import Invoice, Order
from backend.settings import settings

log = logging.getLogger("backend.jobs")

app = Celery("orders", broker=settings().queue_url, backend=settings().queue_url)
app.conf.update(
    task_default_queue="invoices",
    task_routes={"mails.*": {"queue": "mails"}},
    task_acks_late=True,
    task_time_limit=120,
    task_soft_time_limit=100,
    result_expires=3600,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"socket_timeout": 5, "socket_connect_timeout": 3},
    redis_socket_timeout=5,
    redis_socket_connect_timeout=3,
    result_backend_transport_options={"retry_policy": {"max_retries": 1, "interval_start": 0.2}},
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0.2},
    timezone="UTC",
    beat_schedule={
        "close-paid-orders": {"task": "invoices.close", "schedule": 60.0, "options": {"expires": 55}},
    },
)


@setup_logging.connect
def configure_logging(**_) -> None:
    logging.config.dictConfig(logs.config(settings().log_level))


@worker_process_init.connect
def own_connections(**_) -> None:
    """A child of the fork must not use its parent's connections."""
    engine.dispose()


@app.task(name="invoices.make")
def make_invoice(order_id: int | None = None) -> dict:
    """An order's invoice, made once; of the oldest open order when none is named."""
    wanted = select(Order).with_for_update(skip_locked=order_id is None)
    if order_id is None:
        wanted = wanted.where(Order.state == "open").order_by(Order.id).limit(1)
    else:
        wanted = wanted.where(Order.id == order_id)
    with session() as db:
        order = db.execute(wanted).scalar_one_or_none()
        if order is None:
            log.info("no invoice: %s", "no open order" if order_id is None else f"no order {order_id}")
            return {"order_id": order_id, "invoice_id": None, "total": None}
        total = order.price * order.quantity
        made = db.execute(insert(Invoice).values(order_id=order.id, total=total).on_conflict_do_nothing()).rowcount
        invoice_id = db.execute(select(Invoice.id).where(Invoice.order_id == order.id)).scalar_one()
        if made:
            order.state = "invoiced"
        answer = {"order_id": order.id, "invoice_id": invoice_id, "total": float(total)}
    if made:
        send_mail.delay(invoice_id)
    return answer


@app.task(name="mails.send", ignore_result=True)
def send_mail(invoice_id: int) -> None:
    """The mail itself goes out by the shop's relay; here it is only written down that it went."""
    with session() as db:
        db.execute(update(Invoice).where(Invoice.id == invoice_id).values(mailed_at=datetime.now(UTC)))
    log.info("invoice %d mailed", invoice_id)


@app.task(name="invoices.close", ignore_result=True)
def close_orders() -> None:
    with session() as db:
        mailed = select(Invoice.order_id).where(Invoice.mailed_at.is_not(None))
        done = db.execute(
            update(Order).where(Order.state == "invoiced", Order.id.in_(mailed)).values(state="closed").execution_options(synchronize_session=False)
        )
    if done.rowcount:
        log.info("%d orders closed", done.rowcount)
