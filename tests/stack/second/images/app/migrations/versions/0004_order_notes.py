"""notes on orders, and how orders are looked for"""

import sqlalchemy as sa
from alembic import op

revision = "f6d3027ae9b8"
down_revision = "c52f9be81740"


def upgrade():
    op.add_column("orders", sa.Column("note", sa.Text, nullable=True))
    op.create_index("orders_created_at", "orders", ["created_at"])
    op.create_index("orders_state_id", "orders", ["state", "id"])


def downgrade():
    op.drop_index("orders_state_id", "orders")
    op.drop_index("orders_created_at", "orders")
    op.drop_column("orders", "note")
