from alembic import context
from sqlalchemy import create_engine, pool

from app.logs import configure_logging
from app.models import Base
from app.settings import get_settings

configure_logging(get_settings().log_level)


def run_offline() -> None:
    context.configure(url=get_settings().database_url, target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    engine = create_engine(get_settings().database_url, poolclass=pool.NullPool, connect_args={"connect_timeout": 10, "application_name": "aiops-migrate"})
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
