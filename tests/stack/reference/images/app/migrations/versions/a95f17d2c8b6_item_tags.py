"""item tags

Revision ID: a95f17d2c8b6
Revises: 7c3d90e5f1a4
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "a95f17d2c8b6"
down_revision = "7c3d90e5f1a4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("tags", postgresql.JSONB, nullable=False, server_default="[]"))
    op.add_column("items", sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()))


def downgrade() -> None:
    op.drop_column("items", "updated_at")
    op.drop_column("items", "tags")
