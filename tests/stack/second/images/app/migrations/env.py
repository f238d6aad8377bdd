import logging.config

from alembic import context

from backend import logs
from backend.database import engine
from backend.models import Base
from backend.settings import settings

logging.config.dictConfig(logs.config(settings().log_level))

with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
