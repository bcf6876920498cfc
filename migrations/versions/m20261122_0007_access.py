"""Access: scopes, life of tenants, agencies and keys, regulators under grants, their narrowing."""

from alembic import op

from migrations.fence import (
    AGENCY,
    APP,
    GRANTED,
    GRANTED_INTERACTION,
    KEY,
    NOTHING,
    REGULATOR,
    fence,
    narrow,
    narrow_regulators,
    script,
)

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LIFE = """
alter table tenant add column suspended_at timestamptz, add column removed_at timestamptz;
alter table agency add column suspended_at timestamptz, add column removed_at timestamptz;
create table regulator (
  id uuid not null,
  name text not null,
  created_at timestamptz not null,
  suspended_at timestamptz,
  removed_at timestamptz,
  constraint regulator_pkey primary key (id)
);
create table operator_entry (
  seq bigint generated always as identity,
  at timestamptz not null,
  action text not null,
  subject_id text,
  details jsonb not null,
  constraint operator_entry_pkey primary key (seq)
);
"""

# A regulator's key names the regulator and no lender: what it reads hangs on grants alone.
KEYS = """
alter table api_key
  drop constraint api_key_scope_check,
  add constraint api_key_scope_check
    check (scope in ('admin', 'review', 'send', 'quality', 'read')),
  drop constraint api_key_regulator_has_period_check,
  alter column tenant_id drop not null,
  add column regulator_id uuid constraint api_key_regulator_id_fkey references regulator (id),
  add column root_id uuid,
  add column replaces uuid,
  add column suspended_at timestamptz;
alter table api_key
  add constraint api_key_replaces_key unique (replaces),
  add constraint api_key_replaces_fkey foreign key (replaces) references api_key (id);
create index api_key_regulator_id_idx on api_key (regulator_id);
create index api_key_root_id_idx on api_key (root_id);
create table access_token (
  digest text not null,
  api_key_id uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  constraint access_token_pkey primary key (digest),
  constraint access_token_api_key_id_fkey foreign key (api_key_id) references api_key (id),
  constraint access_token_life_check check (expires_at <= created_at + interval '1 hour')
);
create index access_token_api_key_id_expires_at_idx on access_token (api_key_id, expires_at);
"""

GRANT = """
create table access_grant (
  tenant_id uuid not null,
  id uuid not null,
  regulator_id uuid not null,
  case_number text not null,
  purpose text not null,
  agencies jsonb,
  fields jsonb not null,
  period_from timestamptz not null,
  period_to timestamptz not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  requested_by text not null,
  requested_at timestamptz not null,
  first_approver text,
  first_approved_at timestamptz,
  second_approver text,
  second_approved_at timestamptz,
  ended_by text,
  ended_at timestamptz,
  constraint access_grant_pkey primary key (tenant_id, id),
  constraint access_grant_tenant_id_fkey foreign key (tenant_id) references tenant (id),
  constraint access_grant_regulator_id_fkey foreign key (regulator_id) references regulator (id),
  constraint access_grant_period_check check (period_from < period_to),
  constraint access_grant_life_check
    check (starts_at < ends_at and ends_at <= starts_at + interval '366 days'),
  constraint access_grant_two_approvers_check
    check (second_approver is null or first_approver <> second_approver),
  constraint access_grant_first_approver_comes_first_check
    check (second_approver is null or first_approver is not null),
  constraint access_grant_approvals_are_dated_check check (
    (first_approver is null) = (first_approved_at is null)
    and (second_approver is null) = (second_approved_at is null)),
  constraint access_grant_end_is_signed_check check ((ended_by is null) = (ended_at is null))
);
create index access_grant_regulator_id_idx on access_grant (regulator_id);
create table grant_access (
  tenant_id uuid not null,
  id uuid not null,
  grant_id uuid not null,
  key_id text not null,
  kind text not null,
  route text not null,
  subject_id text,
  reason text,
  at timestamptz not null,
  constraint grant_access_pkey primary key (tenant_id, id),
  constraint grant_access_kind_check check (kind in ('read', 'unmask', 'sample')),
  constraint grant_access_reason_check check ((kind = 'unmask') = (reason is not null)),
  constraint grant_access_tenant_id_grant_id_fkey
    foreign key (tenant_id, grant_id) references access_grant (tenant_id, id)
);
create index grant_access_tenant_id_grant_id_at_id_idx
  on grant_access (tenant_id, grant_id, at, id);
create table sample (
  tenant_id uuid not null,
  id uuid not null,
  grant_id uuid not null,
  method text not null,
  size integer not null,
  seed_sha256 text not null,
  opened_by text not null,
  opened_at timestamptz not null,
  population text,
  population_size integer,
  root text,
  committed_by text,
  committed_at timestamptz,
  seed text,
  drawn jsonb,
  revealed_at timestamptz,
  constraint sample_pkey primary key (tenant_id, id),
  constraint sample_tenant_id_grant_id_fkey
    foreign key (tenant_id, grant_id) references access_grant (tenant_id, id),
  constraint sample_method_check check (method in ('simple', 'stratified', 'risk_weighted')),
  constraint sample_size_check check (size between 1 and 10000),
  constraint sample_commitment_is_whole_check check (
    (root is null) = (population is null) and (root is null) = (committed_at is null)
    and (root is null) = (population_size is null) and (root is null) = (committed_by is null)),
  constraint sample_seed_comes_after_the_population_check check (
    (seed is null) = (revealed_at is null) and (seed is null) = (drawn is null)
    and (seed is null or root is not null)),
  constraint sample_seed_is_the_promised_one_check
    check (seed is null or encode(sha256(decode(seed, 'hex')), 'hex') = seed_sha256)
);
create index sample_tenant_id_grant_id_idx on sample (tenant_id, grant_id);
"""

# A key with a period was a grant that one person gave. It becomes a request of the same terms: two
# approve it, and the key reads again.
CARRY_OVER = """
insert into regulator (id, name, created_at)
  select id, label, created_at from api_key where actor = 'regulator';
insert into access_grant (tenant_id, id, regulator_id, case_number, purpose, fields, period_from,
    period_to, starts_at, ends_at, requested_by, requested_at)
  select tenant_id, gen_random_uuid(), id, 'carried over',
    'a key with a period, made before grants',
    '["transcripts", "recordings"]', period_from, period_to, now(),
    least(coalesce(expires_at, 'infinity'), now() + interval '366 days'), 'migration', now()
  from api_key where actor = 'regulator' and revoked_at is null
    and coalesce(expires_at, 'infinity') > now();
update api_key set regulator_id = id, tenant_id = null where actor = 'regulator';
alter table api_key
  drop column period_from,
  drop column period_to,
  add constraint api_key_speaks_for_one_check check (
    (actor = 'regulator') = (regulator_id is not null)
    and (actor = 'regulator') = (tenant_id is null));
"""

# Plain functions, run as the caller: the fence of the tables they read holds inside them too.
# Being functions, they cost the sessions of lenders and agencies no planning.
FUNCTIONS = """
create function hegui_granted(p_tenant uuid) returns boolean language plpgsql stable as $$
begin
  return exists (select 1 from access_grant as g
    where g.tenant_id = p_tenant
      and g.id = nullif(current_setting('app.grant_id', true), '')::uuid
      and g.regulator_id = nullif(current_setting('app.regulator_id', true), '')::uuid
      and g.second_approved_at is not null and g.ended_at is null
      and g.starts_at <= statement_timestamp() and statement_timestamp() < g.ends_at);
end $$;
create function hegui_granted_field(p_tenant uuid, p_field text) returns boolean
language plpgsql stable as $$
begin
  return hegui_granted(p_tenant) and exists (select 1 from access_grant as g
    where g.tenant_id = p_tenant
      and g.id = nullif(current_setting('app.grant_id', true), '')::uuid
      and jsonb_exists(g.fields, p_field));
end $$;
create function hegui_granted_agency(p_tenant uuid, p_agency uuid) returns boolean
language plpgsql stable as $$
begin
  return hegui_granted(p_tenant) and exists (select 1 from access_grant as g
    where g.tenant_id = p_tenant
      and g.id = nullif(current_setting('app.grant_id', true), '')::uuid
      and (g.agencies is null or jsonb_exists(g.agencies, p_agency::text)));
end $$;
create function hegui_granted_contact(p_tenant uuid, p_agency uuid, p_started timestamptz)
returns boolean language plpgsql stable as $$
begin
  return hegui_granted_agency(p_tenant, p_agency) and exists (select 1 from access_grant as g
    where g.tenant_id = p_tenant
      and g.id = nullif(current_setting('app.grant_id', true), '')::uuid
      and g.period_from <= p_started and p_started < g.period_to);
end $$;
create function hegui_granted_interaction(p_tenant uuid, p_interaction uuid) returns boolean
language plpgsql stable as $$
begin
  return exists (select 1 from interaction as i
    where i.tenant_id = p_tenant and i.id = p_interaction);
end $$;
create function hegui_granted_event(p_tenant uuid, p_agency uuid, p_interaction text, p_event uuid)
returns boolean language plpgsql stable as $$
begin
  return exists (select 1 from interaction as i
    where i.tenant_id = p_tenant and i.agency_id = p_agency
      and i.interaction_id = p_interaction and i.event_id = p_event);
end $$;
create function hegui_heard_there(p_tenant uuid, p_sha256 text) returns boolean
language plpgsql stable as $$
begin
  return exists (select 1 from interaction as i
    where i.tenant_id = p_tenant and i.recording_sha256 = p_sha256);
end $$;
"""

# What is decided stays decided, whoever asks: the terms of a grant, an approval, an end; a key's
# digest and end; a population that was committed and a seed that was revealed.
KEPT = """
create function hegui_is_approver(p_tenant uuid, p_name text) returns boolean
language plpgsql stable as $$
begin
  return p_name = 'operator' or exists (select 1 from api_key as k
    where k.key_id = p_name and k.tenant_id = p_tenant and k.actor = 'lender'
      and k.scope = 'admin' and k.root_id is null);
end $$;
create function hegui_keep_grant() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.first_approver is not null or new.ended_at is not null then
      raise exception 'a grant begins as a request' using errcode = 'HG003';
    end if;
    return new;
  end if;
  if (new.first_approver is distinct from old.first_approver
      and not hegui_is_approver(new.tenant_id, new.first_approver))
     or (new.second_approver is distinct from old.second_approver
      and not hegui_is_approver(new.tenant_id, new.second_approver)) then
    raise exception 'a grant is approved by administrators of its lender and the operator'
      using errcode = 'HG003';
  end if;
  if (new.tenant_id, new.id, new.regulator_id, new.case_number, new.purpose, new.agencies,
      new.fields, new.period_from, new.period_to, new.starts_at, new.ends_at, new.requested_by,
      new.requested_at)
     is distinct from (old.tenant_id, old.id, old.regulator_id, old.case_number, old.purpose,
      old.agencies, old.fields, old.period_from, old.period_to, old.starts_at, old.ends_at,
      old.requested_by, old.requested_at)
     or (old.first_approver is not null and (new.first_approver, new.first_approved_at)
      is distinct from (old.first_approver, old.first_approved_at))
     or (old.second_approver is not null and (new.second_approver, new.second_approved_at)
      is distinct from (old.second_approver, old.second_approved_at))
     or (old.ended_at is not null
      and (new.*) is distinct from (old.*)) then
    raise exception 'a grant keeps its terms, approvals and end' using errcode = 'HG003';
  end if;
  return new;
end $$;
create trigger grant_is_kept before insert or update on access_grant
  for each row execute function hegui_keep_grant();
create function hegui_keep_key() returns trigger language plpgsql as $$
begin
  if (new.id, new.key_id, new.digest, new.tenant_id, new.regulator_id, new.agency_id, new.actor,
      new.scope, new.root_id, new.replaces)
     is distinct from (old.id, old.key_id, old.digest, old.tenant_id, old.regulator_id,
      old.agency_id, old.actor, old.scope, old.root_id, old.replaces)
     or (old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at)
     or (old.expires_at is not null
      and (new.expires_at is null or new.expires_at > old.expires_at)) then
    raise exception 'a key keeps what it is good for, and ends no later' using errcode = 'HG003';
  end if;
  return new;
end $$;
create trigger key_is_kept before update on api_key
  for each row execute function hegui_keep_key();
create function hegui_keep_sample() returns trigger language plpgsql as $$
begin
  if (new.tenant_id, new.id, new.grant_id, new.method, new.size, new.seed_sha256, new.opened_by,
      new.opened_at)
     is distinct from (old.tenant_id, old.id, old.grant_id, old.method, old.size,
      old.seed_sha256, old.opened_by, old.opened_at)
     or (old.root is not null and (new.population, new.population_size, new.root,
      new.committed_by, new.committed_at)
      is distinct from (old.population, old.population_size, old.root, old.committed_by,
      old.committed_at))
     or (old.seed is not null and (new.seed, new.drawn, new.revealed_at)
      is distinct from (old.seed, old.drawn, old.revealed_at)) then
    raise exception 'a sample keeps what was committed' using errcode = 'HG003';
  end if;
  return new;
end $$;
create trigger sample_is_kept before update on sample
  for each row execute function hegui_keep_sample();
"""

# What a regulator's session sees of each table that there was before.
REGULATORS = {
    "agency": "hegui_granted_agency(tenant_id, id)",
    "event": "hegui_granted_event(tenant_id, agency_id, interaction_id, id)",
    "collection_case": NOTHING,
    "interaction": "hegui_granted_contact(tenant_id, agency_id, started_at)",
    "recording": "(hegui_granted_field(tenant_id, 'recordings')"
    " and hegui_heard_there(tenant_id, sha256))",
    "transcript": f"(hegui_granted_field(tenant_id, 'transcripts') and {GRANTED_INTERACTION})",
    "transcript_piece": NOTHING,
    "verdict": GRANTED_INTERACTION,
    "finding": GRANTED_INTERACTION,
    "parameter_set": GRANTED,
    "speech_set": GRANTED,
    "endpoint": NOTHING,
    "alert": NOTHING,
    "delivery": NOTHING,
}
# Tables that agencies saw whole, and what they see of them now.
AGENCIES = {
    "recording": "hegui_heard_there(tenant_id, sha256)",
    "parameter_set": NOTHING,
}
# Agencies and regulators leave entries, and see none but those of the key they come with.
OWN_ENTRIES = (
    f"(((select {AGENCY}) is null and (select {REGULATOR}) is null) or actor = (select {KEY}))"
)
KEPT_FUNCTIONS = (
    "hegui_keep_sample", "hegui_keep_key", "hegui_keep_grant", "hegui_is_approver",
)  # fmt: skip
READ_FUNCTIONS = (
    "hegui_heard_there", "hegui_granted_event", "hegui_granted_interaction",
    "hegui_granted_contact", "hegui_granted_agency", "hegui_granted_field", "hegui_granted",
)  # fmt: skip


def upgrade() -> None:
    """Apply."""
    for part in (LIFE, KEYS, GRANT, CARRY_OVER, FUNCTIONS, KEPT):
        script(part)
    for table, seen in REGULATORS.items():
        for policy in (f"{table}_of_regulator", f"{table}_kept_from_regulators"):
            op.execute(f"drop policy if exists {policy} on {table}")
        narrow_regulators(table, seen)
    for table, seen in AGENCIES.items():
        narrow(table, "agency", AGENCY, seen)
    _open_audit()
    own = f"regulator_id = {REGULATOR}"
    of_grant = "(grant_id = nullif(current_setting('app.grant_id', true), '')::uuid"
    fence("access_grant", narrowed=NOTHING, rights="select, insert, update", regulators=own)
    op.execute(
        f"create policy access_grant_of_its_regulator on access_grant for select using ({own})"
    )
    fence("grant_access", narrowed=NOTHING, rights="select, insert")
    # A regulator opens samples and reveals seeds itself: the one thing that its session writes.
    fence("sample", narrowed=NOTHING, rights="select, insert, update", regulators=None)
    own_sample = f"{of_grant} and {GRANTED})"
    narrow_regulators("sample", own_sample, writes=own_sample)
    script(f"""
        grant select, insert, update on regulator to {APP};
        grant select, insert on operator_entry to {APP};
        grant select, insert, delete on access_token to {APP};
        grant update (suspended_at, removed_at) on tenant to {APP};
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """)


def _open_audit() -> None:
    """Let every session add entries; what it reads back is narrowed."""
    for policy in (
        "audit_entry_of_agency",
        "audit_entry_of_regulator",
        "audit_entry_kept_from_regulators",
    ):
        op.execute(f"drop policy if exists {policy} on audit_entry")
    op.execute(
        "create policy audit_entry_of_actor on audit_entry as restrictive for select"
        f" using {OWN_ENTRIES}"
    )


def downgrade() -> None:
    """Undo; regulators, their keys and grants go, and keys with the new scopes."""
    for table in ("sample", "grant_access", "access_grant"):
        op.execute(f"drop table {table}")
    op.execute("drop policy audit_entry_of_actor on audit_entry")
    narrow("audit_entry", "agency", AGENCY, NOTHING)
    for table in REGULATORS:
        op.execute(f"drop policy {table}_of_regulator on {table}")
        op.execute(f"drop policy {table}_kept_from_regulators on {table}")
    for table in AGENCIES:
        op.execute(f"drop policy {table}_of_agency on {table}")
    op.execute("drop trigger key_is_kept on api_key")
    for function in KEPT_FUNCTIONS + READ_FUNCTIONS:
        op.execute(f"drop function {function}")
    script("""
drop table access_token;
delete from api_key where actor = 'regulator' or scope in ('review', 'quality');
update api_key set replaces = null;
alter table api_key
  drop column suspended_at, drop column replaces, drop column root_id, drop column regulator_id,
  alter column tenant_id set not null,
  add column period_from timestamptz,
  add column period_to timestamptz,
  add constraint api_key_regulator_has_period_check
    check (actor <> 'regulator' or (period_from is not null and period_to is not null)),
  drop constraint api_key_scope_check,
  add constraint api_key_scope_check check (scope in ('admin', 'send', 'read'));
drop table operator_entry;
drop table regulator;
alter table agency drop column suspended_at, drop column removed_at;
alter table tenant drop column suspended_at, drop column removed_at;
""")
