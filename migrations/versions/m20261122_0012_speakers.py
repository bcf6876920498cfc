"""A later event that only says otherwise who speaks on which channel is heard anew."""

from migrations.fence import driver, script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# What was heard was named, and its map held against the words, by the map of the earlier event.
STATES = "or (p_to_hear and v_held.state in ('waiting', 'missing') and p_state <> 'waiting')"
SPEAKERS = """or (p_to_hear and (
      select held.body #> '{data,recording,speakers}'
        is distinct from new.body #> '{data,recording,speakers}'
      from event as held, event as new
      where held.tenant_id = p_tenant and held.id = v_held.event_id
        and new.tenant_id = p_tenant and new.id = p_event))"""
FUNCTION = "hegui_ingest_again"


def replace_in_function(before: str, after: str) -> None:
    """Change one condition of the function, whoever wrote the rest of it."""
    found = driver().execute(f"select pg_get_functiondef('{FUNCTION}'::regproc)").fetchone()
    assert found is not None
    assert found[0].count(before) == 1
    script(found[0].replace(before, after))


def upgrade() -> None:
    """Apply."""
    replace_in_function(STATES, f"{STATES}\n    {SPEAKERS}")


def downgrade() -> None:
    """Undo."""
    replace_in_function(f"{STATES}\n    {SPEAKERS}", STATES)
