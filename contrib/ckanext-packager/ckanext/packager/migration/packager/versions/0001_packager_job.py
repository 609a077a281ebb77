"""The table of requested downloads.

Revision ID: 0001_packager_job
"""

import sqlalchemy as sa
from alembic import op

revision = "0001_packager_job"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "packager_job",
        sa.Column("job", sa.UnicodeText, primary_key=True),
        sa.Column("user_id", sa.UnicodeText, nullable=False),
        sa.Column("resource_id", sa.UnicodeText),
        sa.Column("dataset_id", sa.UnicodeText, nullable=False),
        sa.Column("status_url", sa.UnicodeText),
        sa.Column("created", sa.DateTime, nullable=False),
    )
    op.create_index("ix_packager_job_user_id", "packager_job", ["user_id"])
    op.create_index("ix_packager_job_created", "packager_job", ["created"])


def downgrade():
    op.drop_table("packager_job")
