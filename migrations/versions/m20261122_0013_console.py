"""How people sign in: users, their passwords and console sessions, log-in at a provider."""

from alembic import op

from migrations.fence import AGENCY, APP, NOTHING, REGULATOR, TENANT, fence, script

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

PEOPLE = """
create table person (
  id uuid not null,
  handle text not null,
  tenant_id uuid,
  agency_id uuid,
  regulator_id uuid,
  actor text not null,
  scope text not null,
  email text not null,
  name text not null,
  password text,
  password_at timestamptz,
  admitted_at timestamptz not null,
  oidc_issuer text,
  oidc_subject text,
  created_at timestamptz not null,
  suspended_at timestamptz,
  removed_at timestamptz,
  constraint person_pkey primary key (id),
  constraint person_handle_key unique (handle),
  constraint person_tenant_id_fkey foreign key (tenant_id) references tenant (id),
  constraint person_tenant_id_agency_id_fkey
    foreign key (tenant_id, agency_id) references agency (tenant_id, id),
  constraint person_regulator_id_fkey foreign key (regulator_id) references regulator (id),
  constraint person_role_check check (
    (actor = 'lender' and scope in ('admin', 'review', 'read'))
    or (actor = 'agency' and scope in ('send', 'quality', 'read'))
    or (actor = 'regulator' and scope = 'read')
    or (actor = 'operator' and scope = 'operate')),
  constraint person_speaks_for_one_check check (
    (actor in ('lender', 'agency')) = (tenant_id is not null)
    and (actor = 'agency') = (agency_id is not null)
    and (actor = 'regulator') = (regulator_id is not null)),
  constraint person_password_is_dated_check check ((password is null) = (password_at is null)),
  constraint person_binding_is_whole_check
    check ((oidc_issuer is null) = (oidc_subject is null))
);
create unique index person_tenant_id_email_idx on person (tenant_id, email)
  where removed_at is null;
create unique index person_regulator_id_email_idx on person (regulator_id, email)
  where removed_at is null;
create unique index person_actor_email_idx on person (actor, email)
  where removed_at is null and actor = 'operator';
create unique index person_tenant_id_oidc_issuer_oidc_subject_idx
  on person (tenant_id, oidc_issuer, oidc_subject) where removed_at is null;
create table console_session (
  id uuid not null,
  digest text not null,
  person_id uuid not null,
  how text not null,
  agent text not null,
  created_at timestamptz not null,
  seen_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz,
  constraint console_session_pkey primary key (id),
  constraint console_session_digest_key unique (digest),
  constraint console_session_person_id_fkey foreign key (person_id) references person (id),
  constraint console_session_how_check check (how in ('password', 'oidc')),
  constraint console_session_life_check check (expires_at <= created_at + interval '31 days')
);
create index console_session_person_id_created_at_idx on console_session (person_id, created_at);
create table password_token (
  digest text not null,
  person_id uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  constraint password_token_pkey primary key (digest),
  constraint password_token_person_id_fkey foreign key (person_id) references person (id),
  constraint password_token_life_check check (expires_at <= created_at + interval '31 days')
);
create index password_token_person_id_idx on password_token (person_id);
create table sign_in_attempt (
  subject text not null,
  failures integer not null,
  last_at timestamptz not null,
  constraint sign_in_attempt_pkey primary key (subject)
);
create index sign_in_attempt_last_at_idx on sign_in_attempt (last_at);
alter table api_key
  add column person_id uuid constraint api_key_person_id_fkey references person (id);
create index api_key_person_id_idx on api_key (person_id);
alter table operator_entry add column actor text not null default 'operator';
"""

PROVIDERS = """
create table oidc_provider (
  tenant_id uuid not null,
  issuer text not null,
  client_id text not null,
  client_secret bytea not null,
  domains jsonb not null,
  role_claim text not null,
  roles jsonb not null,
  set_at timestamptz not null,
  set_by text not null,
  constraint oidc_provider_pkey primary key (tenant_id),
  constraint oidc_provider_tenant_id_fkey foreign key (tenant_id) references tenant (id)
);
create table oidc_flow (
  tenant_id uuid not null,
  state text not null,
  browser text not null,
  issuer text not null,
  nonce text not null,
  verifier text not null,
  expires_at timestamptz not null,
  constraint oidc_flow_pkey primary key (tenant_id, state),
  constraint oidc_flow_tenant_id_fkey foreign key (tenant_id) references tenant (id)
);
"""

# Whoever asks: a person stays whose it was and who it is, and what was ended stays ended.
KEPT = """
create function hegui_keep_person() returns trigger language plpgsql as $$
begin
  if (new.id, new.handle, new.tenant_id, new.agency_id, new.regulator_id, new.actor,
      new.created_at)
     is distinct from (old.id, old.handle, old.tenant_id, old.agency_id, old.regulator_id,
      old.actor, old.created_at)
     or new.admitted_at < old.admitted_at
     or (old.removed_at is not null and (new.*) is distinct from (old.*)) then
    raise exception 'a person stays whose it was, and removed' using errcode = 'HG003';
  end if;
  return new;
end $$;
create trigger person_is_kept before update on person
  for each row execute function hegui_keep_person();
create function hegui_keep_console_session() returns trigger language plpgsql as $$
begin
  if (new.id, new.digest, new.person_id, new.how, new.agent, new.created_at, new.expires_at)
     is distinct from (old.id, old.digest, old.person_id, old.how, old.agent, old.created_at,
      old.expires_at)
     or new.seen_at < old.seen_at
     or (old.ended_at is not null and (new.*) is distinct from (old.*)) then
    raise exception 'a session keeps its person and its end' using errcode = 'HG003';
  end if;
  return new;
end $$;
create trigger console_session_is_kept before update on console_session
  for each row execute function hegui_keep_console_session();
create function hegui_keep_password_token() returns trigger language plpgsql as $$
begin
  if old.used_at is not null or (new.digest, new.person_id, new.created_at, new.expires_at)
     is distinct from (old.digest, old.person_id, old.created_at, old.expires_at) then
    raise exception 'a token is used once' using errcode = 'HG003';
  end if;
  return new;
end $$;
create trigger password_token_is_kept before update on password_token
  for each row execute function hegui_keep_password_token();
"""

# An approver is a person now, or the first key of a chain that belongs to nobody.
APPROVER = """
create or replace function hegui_is_approver(p_tenant uuid, p_name text) returns boolean
language plpgsql stable as $$
begin
  return p_name = 'operator' or exists (select 1 from api_key as k
    where k.key_id = p_name and k.tenant_id = p_tenant and k.actor = 'lender'
      and k.scope = 'admin' and k.root_id is null and k.person_id is null)
    or exists (select 1 from person as p
    where p.handle = p_name and p.tenant_id = p_tenant and p.actor = 'lender'
      and p.scope = 'admin' and p.suspended_at is null and p.removed_at is null);
end $$;
"""
APPROVER_BEFORE = """
create or replace function hegui_is_approver(p_tenant uuid, p_name text) returns boolean
language plpgsql stable as $$
begin
  return p_name = 'operator' or exists (select 1 from api_key as k
    where k.key_id = p_name and k.tenant_id = p_tenant and k.actor = 'lender'
      and k.scope = 'admin' and k.root_id is null);
end $$;
"""
KEEP_OWNER = """
create function hegui_keep_key_owner() returns trigger language plpgsql as $$
begin
  if new.person_id is distinct from old.person_id then
    raise exception 'a key stays whose it was' using errcode = 'HG003';
  end if;
  return new;
end $$;
create trigger key_owner_is_kept before update on api_key
  for each row execute function hegui_keep_key_owner();
"""


def upgrade() -> None:
    """Apply."""
    for part in (PEOPLE, PROVIDERS, KEPT, APPROVER, KEEP_OWNER):
        script(part)
    # Read before a tenant is known, as keys are; a session that names somebody sees its own.
    op.execute("alter table person enable row level security")
    op.execute("alter table person force row level security")
    op.execute("create policy person_of_tenant on person using (true) with check (true)")
    for name, session, column in (
        ("within_tenant", TENANT, "tenant_id"),
        ("of_agency", AGENCY, "agency_id"),
        ("of_regulator", REGULATOR, "regulator_id"),
    ):
        own = f"((select {session}) is null or {column} = (select {session}))"
        op.execute(
            f"create policy person_{name} on person as restrictive using {own} with check {own}"
        )
    fence("oidc_provider", narrowed=NOTHING, rights="select, insert, update, delete")
    fence("oidc_flow", narrowed=NOTHING, rights="select, insert, delete")
    script(f"""
        grant select, insert, update on person, password_token to {APP};
        grant select, insert, update, delete on console_session, sign_in_attempt to {APP};
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """)


def downgrade() -> None:
    """Undo; people, their sessions and the keys that belong to them go."""
    script(APPROVER_BEFORE)
    script("""
drop trigger key_owner_is_kept on api_key;
drop function hegui_keep_key_owner();
alter table api_key drop column person_id;
alter table operator_entry drop column actor;
drop table oidc_flow;
drop table oidc_provider;
drop table sign_in_attempt;
drop table password_token;
drop table console_session;
drop table person;
drop function hegui_keep_password_token();
drop function hegui_keep_console_session();
drop function hegui_keep_person();
""")
