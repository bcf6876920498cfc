"""What is sealed at rest: recordings, texts and secrets."""

from alembic import op

from migrations.fence import APP, NOTHING, fence, script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# The key of each sealed object of the store. It goes when the recording was purged and nothing
# else needs the bytes; before that only its wrapping may change.
RECORDING_KEY = """
create table recording_key (
  tenant_id uuid not null references tenant (id),
  sha256 text not null,
  id uuid not null,
  sealed bytea not null,
  primary key (tenant_id, sha256, id)
);
create function hegui_keep_recording_key() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if (new.tenant_id, new.sha256, new.id) is distinct from (old.tenant_id, old.sha256, old.id) then
      raise exception 'a key stays with its recording' using errcode = 'HG001';
    end if;
    return new;
  end if;
  if exists (select 1 from recording as r where r.tenant_id = old.tenant_id
      and r.sha256 = old.sha256 and r.purged_at is null)
     or exists (select 1 from dispute_file as f where f.tenant_id = old.tenant_id
      and f.sha256 = old.sha256) then
    raise exception 'a key stays with its recording' using errcode = 'HG001';
  end if;
  return old;
end $$;
create trigger recording_key_is_kept before update or delete on recording_key
  for each row execute function hegui_keep_recording_key();
create trigger recording_key_is_not_emptied before truncate on recording_key
  for each statement execute function hegui_append_only();
"""


def upgrade() -> None:
    """Apply."""
    script(RECORDING_KEY)
    fence("recording_key", narrowed=NOTHING, rights="select, insert, update, delete")
    script(
        f"""
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """
    )


def downgrade() -> None:
    """Undo; sealed objects cannot be opened any more."""
    op.execute("drop table recording_key")
    op.execute("drop function hegui_keep_recording_key()")
