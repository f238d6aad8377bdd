"""last login

Revision ID: c2e6408b7f95
Revises: a95f17d2c8b6
"""

import sqlalchemy as sa
from alembic import op

revision = "c2e6408b7f95"
down_revision = "a95f17d2c8b6"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("last_login_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("users", "last_login_at")
