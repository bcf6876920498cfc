"""Tables of purge runs and of completeness, for the migration that makes them (0009)."""

PURGE = """
create table purge_run (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  state text not null check (state in ('planned', 'removing', 'done', 'cancelled')),
  planned_at timestamptz not null,
  planned_by text not null,
  ready_at timestamptz not null,
  listed integer not null,
  list_sha256 text not null,
  approved_at timestamptz,
  approved_by text,
  ended_at timestamptz,
  ended_by text,
  certificate jsonb,
  certificate_sha256 text,
  lease_until timestamptz,
  primary key (tenant_id, id),
  constraint purge_run_two_persons_check check (approved_by <> planned_by),
  constraint purge_run_cools_a_day_check check (ready_at >= planned_at + interval '1 day'),
  constraint purge_run_removes_when_approved_check check (
    (state in ('removing', 'done')) = (approved_at is not null)
    and (approved_at is null) = (approved_by is null))
);
create index purge_run_tenant_id_planned_at_id_idx on purge_run (tenant_id, planned_at, id);
create table purge_item (
  tenant_id uuid not null,
  run_id uuid not null,
  sha256 text not null,
  size_bytes bigint not null,
  received_at timestamptz not null,
  retain_until timestamptz not null,
  contacts integer not null,
  state text not null check (state in ('listed', 'kept', 'removing', 'removed')),
  reason text,
  removed_at timestamptz,
  primary key (tenant_id, run_id, sha256),
  foreign key (tenant_id, run_id) references purge_run (tenant_id, id)
);
create index purge_item_tenant_id_sha256_idx on purge_item (tenant_id, sha256);
create function hegui_keep_purge_run() returns trigger language plpgsql as $$
begin
  if tg_op in ('DELETE', 'TRUNCATE') then
    raise exception 'purge runs are kept' using errcode = 'HG001';
  end if;
  if tg_op = 'INSERT' then
    if new.state <> 'planned' or new.planned_at < now() - interval '10 minutes' then
      raise exception 'a purge run begins now, as a plan' using errcode = 'HG001';
    end if;
    return new;
  end if;
  if (new.tenant_id, new.id, new.planned_at, new.planned_by, new.ready_at, new.listed,
      new.list_sha256) is distinct from (old.tenant_id, old.id, old.planned_at, old.planned_by,
      old.ready_at, old.listed, old.list_sha256)
     or (old.approved_at is not null and (new.approved_at, new.approved_by)
         is distinct from (old.approved_at, old.approved_by))
     or (old.state, new.state) not in (('planned', 'planned'), ('planned', 'removing'),
         ('planned', 'cancelled'), ('removing', 'removing'), ('removing', 'done')) then
    raise exception 'a purge run only goes forward' using errcode = 'HG001';
  end if;
  if old.state = 'planned' and new.state = 'removing' and now() < new.ready_at then
    raise exception 'the purge run is still waiting' using errcode = 'HG001';
  end if;
  return new;
end $$;
create trigger purge_run_is_kept before insert or update or delete on purge_run
  for each row execute function hegui_keep_purge_run();
create trigger purge_run_is_not_emptied before truncate on purge_run
  for each statement execute function hegui_keep_purge_run();
create function hegui_keep_purge_item() returns trigger language plpgsql as $$
begin
  if tg_op in ('DELETE', 'TRUNCATE') then
    raise exception 'tombstones are kept' using errcode = 'HG001';
  end if;
  if tg_op = 'INSERT' then
    if new.state <> 'listed' or not exists (select 1 from purge_run as r where r.id = new.run_id
        and r.tenant_id = new.tenant_id and r.state = 'planned') then
      raise exception 'a recording is listed while its run is a plan' using errcode = 'HG001';
    end if;
    return new;
  end if;
  if (to_jsonb(new) - '{state,reason,removed_at}'::text[])
      is distinct from (to_jsonb(old) - '{state,reason,removed_at}'::text[])
     or (old.state, new.state) not in (('listed', 'kept'), ('listed', 'removing'),
         ('removing', 'removed'), ('removing', 'kept')) then
    raise exception 'a tombstone does not change' using errcode = 'HG001';
  end if;
  return new;
end $$;
create trigger purge_item_is_kept before insert or update or delete on purge_item
  for each row execute function hegui_keep_purge_item();
create trigger purge_item_is_not_emptied before truncate on purge_item
  for each statement execute function hegui_keep_purge_item();
"""

COMPLETENESS = """
create table call_list (
  tenant_id uuid not null,
  agency_id uuid not null,
  day date not null,
  revision integer not null,
  sha256 text not null,
  rows integer not null,
  received_at timestamptz not null,
  received_by text not null,
  primary key (tenant_id, agency_id, day),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create table call_list_row (
  tenant_id uuid not null,
  agency_id uuid not null,
  day date not null,
  call_id text not null,
  started_at timestamptz not null,
  answered boolean not null,
  talk_seconds double precision not null,
  party_digest text,
  primary key (tenant_id, agency_id, day, call_id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index call_list_row_tenant_id_agency_id_call_id_idx
  on call_list_row (tenant_id, agency_id, call_id);
create table completeness_day (
  tenant_id uuid not null,
  agency_id uuid not null,
  day date not null,
  listed integer not null,
  expected integer not null,
  complete integer not null,
  share double precision not null,
  faults jsonb not null,
  reconciled_at timestamptz not null,
  told_sha256 text,
  primary key (tenant_id, agency_id, day),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index completeness_day_tenant_id_day_agency_id_idx
  on completeness_day (tenant_id, day, agency_id);
create table completeness_finding (
  tenant_id uuid not null,
  id uuid not null,
  agency_id uuid not null,
  day date not null,
  call_id text not null,
  kind text not null check (kind in ('absent', 'silent', 'truncated', 'wrong_length',
    'reused_audio', 'wrong_party', 'unlisted')),
  rule text not null,
  severity text not null,
  facts jsonb not null,
  interaction_id uuid,
  found_at timestamptz not null,
  resolved_at timestamptz,
  requested_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, agency_id, day, call_id, kind),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index completeness_finding_tenant_id_found_at_id_idx
  on completeness_finding (tenant_id, found_at, id);
create table agency_endpoint (
  tenant_id uuid not null,
  agency_id uuid not null,
  url text not null,
  secret text not null,
  set_at timestamptz not null,
  set_by text not null,
  primary key (tenant_id, agency_id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create table notice (
  tenant_id uuid not null,
  id uuid not null,
  endpoint_id uuid,
  agency_id uuid,
  message_id text not null,
  payload jsonb not null,
  state text not null check (state in ('pending', 'delivered', 'dead')),
  attempts integer not null,
  next_at timestamptz not null,
  lease_until timestamptz,
  last_status integer,
  last_reason text,
  created_at timestamptz not null,
  delivered_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, endpoint_id) references endpoint (tenant_id, id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id),
  constraint notice_goes_to_one_check check ((endpoint_id is null) <> (agency_id is null))
);
create index notice_pending_idx on notice (tenant_id, next_at) where state = 'pending';
create index notice_tenant_id_created_at_id_idx on notice (tenant_id, created_at, id);
"""
