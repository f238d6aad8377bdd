"""Make the first user, once: `python -m app.bootstrap`."""

from __future__ import annotations

import logging
import os

from sqlalchemy import select

from .db import session_factory
from .logs import configure_logging
from .models import User
from .security import hash_password
from .settings import get_settings

logger = logging.getLogger(__name__)


def main() -> None:
    configure_logging(get_settings().log_level)
    username, password = os.environ["ADMIN_USERNAME"], os.environ["ADMIN_PASSWORD"]
    with session_factory()() as session:
        if session.scalar(select(User).where(User.username == username)) is None:
            session.add(User(username=username, password_hash=hash_password(password)))
            session.commit()
            logger.info("user %s made", username)


if __name__ == "__main__":
    main()
