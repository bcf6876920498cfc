"""Personal data: keys of tenants, sealed identities, keyed look-ups, quotas."""

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""


def downgrade() -> None:
    """Undo."""
