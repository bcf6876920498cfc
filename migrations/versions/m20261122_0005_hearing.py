"""Hearing: flags and words of a transcript, its finished pieces, its progress, a lender's words."""

from alembic import op

from migrations.fence import APP, NOTHING, fence, script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = """
alter table transcript
  add column flags jsonb not null default '[]',
  add column words jsonb not null default '[]';
alter table verdict add column untrusted_share double precision not null default 0;
alter table interaction
  add column progress double precision,
  add column progress_at timestamptz;
"""

TABLES = """
create table transcript_piece (
  tenant_id uuid not null,
  interaction_id uuid not null,
  position integer not null,
  key text not null,
  until_seconds double precision not null,
  doc json not null,
  created_at timestamptz not null,
  constraint transcript_piece_pkey primary key (tenant_id, interaction_id, position),
  constraint transcript_piece_tenant_id_interaction_id_fkey
    foreign key (tenant_id, interaction_id) references interaction (tenant_id, id)
);
create table speech_set (
  tenant_id uuid not null,
  revision integer not null,
  prompt text not null,
  hotwords jsonb not null,
  set_at timestamptz not null,
  set_by text not null,
  constraint speech_set_pkey primary key (tenant_id, revision),
  constraint speech_set_tenant_id_fkey foreign key (tenant_id) references tenant (id)
);
"""

# Pieces live while their recording is being heard and no longer, whatever ends the hearing: a
# transcript, a recording set aside, or a later event that names other bytes.
ENDED = """
create function hegui_end_hearing() returns trigger language plpgsql as $$
begin
  delete from transcript_piece as p
    where p.tenant_id = new.tenant_id and p.interaction_id = new.id;
  new.progress := null;
  new.progress_at := null;
  return new;
end $$;
create trigger hearing_ended before update on interaction
  for each row when (old.state = 'transcribing' and (new.state <> 'transcribing'
    or new.recording_sha256 is distinct from old.recording_sha256))
  execute function hegui_end_hearing();
"""


def upgrade() -> None:
    """Apply."""
    for part in (COLUMNS, TABLES, ENDED):
        script(part)
    fence("transcript_piece", narrowed=NOTHING, rights="select, insert, update, delete")
    fence("speech_set", narrowed=NOTHING, rights="select, insert")
    script(
        f"""
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """
    )


def downgrade() -> None:
    """Undo."""
    op.execute("drop trigger hearing_ended on interaction")
    op.execute("drop function hegui_end_hearing()")
    op.execute("drop table speech_set")
    op.execute("drop table transcript_piece")
    for table, column in (
        ("interaction", "progress_at"),
        ("interaction", "progress"),
        ("verdict", "untrusted_share"),
        ("transcript", "words"),
        ("transcript", "flags"),
    ):
        op.drop_column(table, column)
