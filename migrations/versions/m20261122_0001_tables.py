"""Roles, tables, fences and the retention guard."""

from alembic import op

from migrations.fence import APP, BY_COLUMN, BY_ID, NOTHING, by_interaction, fence, script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The application's role owns nothing and passes no fence. On a server where the owner may not
# create roles, the operator creates it before: create role hegui_app login password '...'.
ROLE = """
do $$
begin
  if not exists (select 1 from pg_roles where rolname = 'hegui_app') then
    create role hegui_app login nosuperuser nocreatedb nocreaterole nobypassrls noinherit;
  end if;
  if (select rolsuper or rolbypassrls from pg_roles where rolname = 'hegui_app') then
    raise exception 'role hegui_app must be neither superuser nor bypassrls';
  end if;
end $$;
revoke all on schema public from public;
grant usage on schema public to hegui_app;
do $$
begin
  execute format('revoke temporary on database %I from public', current_database());
  execute format('grant connect on database %I to hegui_app', current_database());
end $$;
do $$
declare
  setting text;
begin
  foreach setting in array array['search_path = public', 'lock_timeout = ''10s''',
      'statement_timeout = ''60s''', 'idle_in_transaction_session_timeout = ''60s'''] loop
    execute format('alter role hegui_app in database %I set %s', current_database(), setting);
  end loop;
exception when insufficient_privilege then
  raise notice 'set search_path and timeouts of hegui_app by hand (docs/operations.md)';
end $$;
"""

UNFENCED = """
create table tenant (
  id uuid primary key,
  name text not null,
  created_at timestamptz not null
);
create table heartbeat (
  name text primary key,
  at timestamptz not null
);
"""

FENCED = """
create table agency (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  name text not null,
  created_at timestamptz not null,
  primary key (tenant_id, id)
);
create table event (
  tenant_id uuid not null,
  id uuid not null,
  agency_id uuid not null,
  message_id text not null,
  body_sha256 text not null,
  body jsonb not null,
  kind text not null,
  case_id text not null,
  interaction_id text,
  occurred_at timestamptz not null,
  received_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, agency_id, message_id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index event_tenant_id_case_id_idx on event (tenant_id, case_id);
create table collection_case (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  case_id text not null,
  wanted integer not null,
  checked integer not null,
  attempt integer not null,
  tries integer not null default 0,
  lease_until timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, case_id)
);
create index collection_case_unchecked_idx on collection_case (tenant_id, lease_until)
  where checked < wanted;
create table interaction (
  tenant_id uuid not null,
  id uuid not null,
  agency_id uuid not null,
  interaction_id text not null,
  case_id text not null,
  event_id uuid not null,
  as_of timestamptz not null,
  channel text not null,
  direction text not null,
  started_at timestamptz not null,
  recording_sha256 text,
  to_hear boolean not null,
  state text not null check (state in ('accepted', 'waiting', 'fetching', 'transcribing',
    'transcribed', 'undecodable', 'missing', 'checked')),
  reason text,
  outcome text,
  verdict_id uuid,
  attempt integer not null,
  tries integer not null default 0,
  lease_until timestamptz,
  received_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, agency_id, interaction_id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id),
  foreign key (tenant_id, event_id) references event (tenant_id, id)
);
create index interaction_tenant_id_case_id_idx on interaction (tenant_id, case_id);
create index interaction_tenant_id_started_at_id_idx on interaction (tenant_id, started_at, id);
create index interaction_tenant_id_recording_sha256_idx
  on interaction (tenant_id, recording_sha256);
create index interaction_unheard_idx on interaction (tenant_id, state, received_at)
  where state in ('waiting', 'fetching', 'transcribing');
create table recording (
  tenant_id uuid not null references tenant (id),
  sha256 text not null,
  size_bytes bigint not null,
  received_at timestamptz not null,
  retain_until timestamptz not null,
  primary key (tenant_id, sha256)
);
create table transcript (
  tenant_id uuid not null,
  interaction_id uuid not null,
  recording_sha256 text,
  segments jsonb not null,
  engine text not null,
  model_digest text not null,
  parameters jsonb not null,
  decoded_seconds double precision,
  untrusted_share double precision not null,
  created_at timestamptz not null,
  primary key (tenant_id, interaction_id),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id)
);
create table verdict (
  tenant_id uuid not null,
  id uuid not null,
  interaction_id uuid not null,
  revision integer not null,
  outcome text not null,
  reasons jsonb not null,
  pack text not null,
  pack_digest text not null,
  findings_digest text not null,
  evaluated_at timestamptz not null,
  is_current boolean not null,
  primary key (tenant_id, id),
  unique (tenant_id, interaction_id, revision),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id)
);
create unique index verdict_current_idx on verdict (tenant_id, interaction_id) where is_current;
create table finding (
  tenant_id uuid not null,
  id uuid not null,
  verdict_id uuid not null,
  interaction_id uuid not null,
  agency_id uuid not null,
  position integer not null,
  rule text not null,
  severity text not null,
  disposition text not null,
  doc jsonb not null,
  started_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, verdict_id, position),
  foreign key (tenant_id, verdict_id) references verdict (tenant_id, id),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index finding_tenant_id_started_at_id_idx on finding (tenant_id, started_at, id);
create index finding_tenant_id_rule_idx on finding (tenant_id, rule);
create index finding_tenant_id_interaction_id_idx on finding (tenant_id, interaction_id);
create table endpoint (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  url text not null,
  secret text not null,
  active boolean not null,
  disabled_reason text,
  failing_since timestamptz,
  paused_until timestamptz,
  created_at timestamptz not null,
  primary key (tenant_id, id)
);
create table alert (
  tenant_id uuid not null,
  id uuid not null,
  endpoint_id uuid not null,
  interaction_id uuid not null,
  verdict_id uuid not null,
  message_id text not null,
  payload jsonb not null,
  state text not null check (state in ('pending', 'delivered', 'dead')),
  attempts integer not null,
  next_at timestamptz not null,
  lease_until timestamptz,
  last_status integer,
  last_reason text,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, verdict_id, endpoint_id),
  foreign key (tenant_id, endpoint_id) references endpoint (tenant_id, id),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id),
  foreign key (tenant_id, verdict_id) references verdict (tenant_id, id)
);
create index alert_pending_idx on alert (tenant_id, next_at) where state = 'pending';
create table audit_entry (
  tenant_id uuid not null references tenant (id),
  seq bigint generated always as identity,
  at timestamptz not null,
  actor text not null,
  action text not null,
  subject_id text,
  details jsonb not null,
  primary key (tenant_id, seq)
);
create index audit_entry_tenant_id_at_idx on audit_entry (tenant_id, at);
"""

DOOR = """
create table api_key (
  id uuid primary key,
  key_id text not null unique,
  digest text not null,
  tenant_id uuid not null references tenant (id),
  actor text not null check (actor in ('lender', 'agency', 'regulator')),
  scope text not null check (scope in ('admin', 'send', 'read')),
  agency_id uuid,
  label text not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  period_from timestamptz,
  period_to timestamptz,
  constraint api_key_agency_has_id_check check ((actor = 'agency') = (agency_id is not null)),
  constraint api_key_regulator_has_period_check
    check (actor <> 'regulator' or (period_from is not null and period_to is not null)),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index api_key_tenant_id_idx on api_key (tenant_id);
create table webhook_source (
  agency_id uuid primary key,
  tenant_id uuid not null references tenant (id),
  secret_current text not null,
  secret_previous text,
  previous_until timestamptz,
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
"""

# Held by the database as well as by code: a recording stays until its date; the date only rises.
RETENTION = """
create function hegui_keep_recording() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if old.retain_until > now() then
      raise exception 'recording is under retention' using errcode = 'HG001';
    end if;
    return old;
  end if;
  if new.retain_until < old.retain_until then
    raise exception 'retention may only be extended' using errcode = 'HG001';
  end if;
  if (new.tenant_id, new.sha256, new.size_bytes, new.received_at)
     is distinct from (old.tenant_id, old.sha256, old.size_bytes, old.received_at) then
    raise exception 'a recording does not change' using errcode = 'HG001';
  end if;
  return new;
end $$;
create trigger recording_is_kept before update or delete on recording
  for each row execute function hegui_keep_recording();
"""

ALL = "select, insert, update, delete"
TABLES = (
    "webhook_source", "api_key", "audit_entry", "alert", "endpoint", "finding", "verdict",
    "transcript", "recording", "interaction", "collection_case", "event", "agency", "tenant",
    "heartbeat",
)  # fmt: skip


def upgrade() -> None:
    """Apply."""
    for part in (ROLE, UNFENCED, FENCED, DOOR, RETENTION):
        script(part)
    # Events and findings are evidence: they are added, never edited; a verdict is only retired.
    fence("agency", narrowed=BY_ID, rights="select, insert, update")
    fence("event", narrowed=BY_COLUMN, rights="select, insert")
    fence("collection_case", narrowed=NOTHING, rights="select, insert, update")
    fence("interaction", narrowed=BY_COLUMN, rights="select, insert, update")
    fence("recording", narrowed=None, rights=ALL)
    fence("transcript", narrowed=by_interaction("transcript"), rights=ALL)
    fence("verdict", narrowed=by_interaction("verdict"), rights="select, insert, update")
    fence("finding", narrowed=BY_COLUMN, rights="select, insert")
    fence("endpoint", narrowed=NOTHING, rights=ALL)
    fence("alert", narrowed=NOTHING, rights="select, insert, update")
    fence("audit_entry", narrowed=NOTHING, rights="select, insert")
    op.execute(f"grant select, insert on tenant to {APP}")
    op.execute(f"grant select, insert, update on api_key, webhook_source to {APP}")
    op.execute(f"grant select, insert, update on heartbeat to {APP}")
    op.execute(f"grant select on alembic_version to {APP}")


def downgrade() -> None:
    """Undo; the role stays, because other databases of the server may know it."""
    for table in TABLES:
        op.execute(f"drop table {table}")
    op.execute("drop function hegui_keep_recording()")
    op.execute(f"revoke all on alembic_version from {APP}")
    op.execute(f"revoke usage on schema public from {APP}")
