"""item status

Revision ID: 4b8e21c6d0f3
Revises: 1f0c5b7a9d21
"""

import sqlalchemy as sa
from alembic import op

revision = "4b8e21c6d0f3"
down_revision = "1f0c5b7a9d21"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("status", sa.String(16), nullable=False, server_default="draft"))
    op.create_index("ix_items_status_created_at", "items", ["status", "created_at"])


def downgrade() -> None:
    op.drop_index("ix_items_status_created_at", "items")
    op.drop_column("items", "status")
