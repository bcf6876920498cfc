"""Ledger: append-only entries, sealed tree heads and where they were sent."""

from alembic import op

from migrations.fence import APP, NOTHING, fence, script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Which transaction wrote a row says when it is safe to seal it: every transaction below the
# oldest running one has ended, so none of its rows can turn up later. Times and sequences cannot
# say that, because transactions commit out of order. What is there already was written by
# "transaction 0"; the constant makes adding the column instant.
WRITTEN = ("event", "audit_entry", "verdict", "transcript", "recording", "parameter_set",
           "speech_set")  # fmt: skip
STAMP = """
alter table {table} add column written_xid bigint not null default 0;
alter table {table} alter column written_xid set default (pg_current_xact_id()::text::bigint);
create index {table}_tenant_id_written_xid_idx on {table} (tenant_id, written_xid);
"""

# A transcript may be heard anew: that is another text, and it is sealed anew.
REWRITTEN = """
create function hegui_rewritten() returns trigger language plpgsql as $$
begin
  if (new.recording_sha256, new.segments, new.engine, new.model_digest, new.created_at)
     is distinct from
     (old.recording_sha256, old.segments, old.engine, old.model_digest, old.created_at) then
    new.written_xid := pg_current_xact_id()::text::bigint;
  end if;
  return new;
end $$;
create trigger transcript_is_rewritten before update on transcript
  for each row execute function hegui_rewritten();
"""

LEDGER = """
create table ledger_head (
  tenant_id uuid not null references tenant (id),
  size bigint not null default 0,
  watermark bigint not null default 0,
  server text not null default '',
  primary key (tenant_id)
);
create table ledger_entry (
  tenant_id uuid not null references tenant (id),
  seq bigint not null,
  source text not null,
  source_id text not null,
  kind text not null,
  at timestamptz not null,
  sha256 bytea not null,
  sm3 bytea not null,
  leaf_hash bytea not null,
  primary key (tenant_id, seq),
  unique (tenant_id, source, source_id)
);
create table ledger_salt (
  tenant_id uuid not null,
  seq bigint not null,
  salt bytea not null,
  primary key (tenant_id, seq),
  foreign key (tenant_id, seq) references ledger_entry (tenant_id, seq)
);
create table ledger_node (
  tenant_id uuid not null references tenant (id),
  level integer not null,
  position bigint not null,
  hash bytea not null,
  primary key (tenant_id, level, position)
);
create table ledger_key (
  key_id text not null,
  public_key bytea not null,
  first_used_at timestamptz not null,
  primary key (key_id)
);
create table ledger_checkpoint (
  tenant_id uuid not null references tenant (id),
  size bigint not null,
  root bytea not null,
  sealed_at timestamptz not null,
  key_id text not null references ledger_key (key_id),
  note text not null,
  primary key (tenant_id, size)
);
create table ledger_post (
  tenant_id uuid not null,
  endpoint_id uuid not null,
  wanted bigint not null,
  posted bigint not null default 0,
  sending bigint,
  attempts integer not null default 0,
  next_at timestamptz not null,
  lease_until timestamptz,
  last_reason text,
  primary key (tenant_id, endpoint_id),
  foreign key (tenant_id, endpoint_id) references endpoint (tenant_id, id)
);
alter table endpoint add column checkpoints boolean not null default false;
"""

APPEND_ONLY = """
create function hegui_append_only() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'HG003';
end $$;
"""
ENTRIES = ("ledger_entry", "ledger_node", "ledger_checkpoint", "ledger_key", "audit_entry")
HELD = """
create trigger {table}_is_append_only before update or delete on {table}
  for each row execute function hegui_append_only();
create trigger {table}_is_not_emptied before truncate on {table}
  for each statement execute function hegui_append_only();
"""
# A salt may be erased, together with what it hides; it is never replaced.
SALT = """
create trigger ledger_salt_is_not_replaced before update on ledger_salt
  for each row execute function hegui_append_only();
"""

# Where the law's erasure takes a row's content away, what opens its commitment goes with it: the
# leaf stays in the tree and says nothing about anybody any more.
ERASED = """
create function hegui_erase_salt() returns trigger language plpgsql as $$
begin
  delete from ledger_salt as s using ledger_entry as e
    where s.tenant_id = old.tenant_id and e.tenant_id = s.tenant_id and e.seq = s.seq
      and e.source = tg_table_name
      and e.source_id = case tg_table_name
        when 'transcript' then (to_jsonb(old) ->> 'interaction_id') || ':' || old.written_xid
        else (to_jsonb(old) ->> 'id') end;
  return null;
end $$;
create trigger event_is_erased after update on event for each row
  when (old.erased_at is null and new.erased_at is not null) execute function hegui_erase_salt();
create trigger transcript_is_erased after delete on transcript
  for each row execute function hegui_erase_salt();
"""
FINDING_ERASED = """
create function hegui_erase_verdict_salt() returns trigger language plpgsql as $$
begin
  delete from ledger_salt as s using ledger_entry as e
    where s.tenant_id = old.tenant_id and e.tenant_id = s.tenant_id and e.seq = s.seq
      and e.source = 'verdict' and e.source_id = old.verdict_id::text;
  return null;
end $$;
create trigger finding_is_erased after update of doc on finding for each row
  when (old.doc is distinct from new.doc) execute function hegui_erase_verdict_salt();
"""

TABLES = (
    "ledger_post", "ledger_checkpoint", "ledger_key", "ledger_node", "ledger_salt",
    "ledger_entry", "ledger_head",
)  # fmt: skip


def upgrade() -> None:
    """Apply."""
    for table in WRITTEN:
        script(STAMP.format(table=table))
    for part in (REWRITTEN, LEDGER, APPEND_ONLY):
        script(part)
    for table in ENTRIES:
        script(HELD.format(table=table))
    for part in (SALT, ERASED, FINDING_ERASED):
        script(part)
    fence("ledger_head", narrowed=NOTHING, rights="select, insert, update")
    fence("ledger_entry", narrowed=NOTHING, rights="select, insert")
    fence("ledger_salt", narrowed=NOTHING, rights="select, insert, delete")
    fence("ledger_node", narrowed=NOTHING, rights="select, insert")
    fence("ledger_checkpoint", narrowed=NOTHING, rights="select, insert")
    fence("ledger_post", narrowed=NOTHING, rights="select, insert, update, delete")
    op.execute(f"grant select, insert on ledger_key to {APP}")
    script(
        f"""
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """
    )


def downgrade() -> None:
    """Undo."""
    op.drop_column("endpoint", "checkpoints")
    op.execute("drop trigger event_is_erased on event")
    op.execute("drop trigger transcript_is_erased on transcript")
    op.execute("drop trigger finding_is_erased on finding")
    op.execute("drop function hegui_erase_salt()")
    op.execute("drop function hegui_erase_verdict_salt()")
    for table in TABLES:
        op.execute(f"drop table {table}")
    op.execute("drop trigger audit_entry_is_append_only on audit_entry")
    op.execute("drop trigger audit_entry_is_not_emptied on audit_entry")
    op.execute("drop function hegui_append_only()")
    op.execute("drop trigger transcript_is_rewritten on transcript")
    op.execute("drop function hegui_rewritten()")
    for table in WRITTEN:
        op.drop_column(table, "written_xid")
