"""${message.capitalize().rstrip(".")}.

Safe while the service runs: expand first, contract in a later release; the code of the release
before must run on this schema. `lock_timeout` is set for every migration in env.py: a statement
that cannot get its lock fails instead of stopping the service. New tables with `tenant_id` call
`fence` (migrations/fence.py).
"""

from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Apply."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Undo."""
    ${downgrades if downgrades else "pass"}
