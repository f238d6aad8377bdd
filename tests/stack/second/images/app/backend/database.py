from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session

from backend.settings import settings


def _engine() -> Engine:
    s = settings()
    return create_engine(
        URL.create("postgresql+psycopg2", s.db_user, s.db_password, s.db_host, s.db_port, s.db_name),
        future=True,
        pool_size=s.db_pool,
        max_overflow=s.db_pool_overflow,
        pool_timeout=s.db_pool_timeout,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "application_name": "orders"},
    )


engine = _engine()  # one a process, made before its threads: two pools would be twice the connections


@contextmanager
def session() -> Iterator[Session]:
    """A session in one transaction: committed at the end, rolled back on an error, its connection given back in both cases."""
    with Session(engine, future=True, expire_on_commit=False) as opened, opened.begin():
        yield opened
