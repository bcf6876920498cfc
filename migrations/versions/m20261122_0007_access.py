"""Access: scopes of reviewers and quality teams, grants of regulators, and their narrowing."""

from migrations.fence import script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCOPES = """
alter table api_key drop constraint api_key_scope_check;
alter table api_key add constraint api_key_scope_check
  check (scope in ('admin', 'review', 'send', 'quality', 'read'));
"""
SCOPES_BEFORE = """
delete from api_key where scope in ('review', 'quality');
alter table api_key drop constraint api_key_scope_check;
alter table api_key add constraint api_key_scope_check check (scope in ('admin', 'send', 'read'));
"""


def upgrade() -> None:
    """Apply."""
    script(SCOPES)


def downgrade() -> None:
    """Undo; keys with the new scopes go."""
    script(SCOPES_BEFORE)
