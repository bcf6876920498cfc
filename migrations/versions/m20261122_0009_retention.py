"""Recordings: clocks, holds, purge runs and the reconciliation of call lists."""

from alembic import op

from migrations.fence import APP, BY_COLUMN, NOTHING, driver, fence, script
from migrations.retention_tables import COMPLETENESS, PURGE

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

RECORDING = """
alter table recording
  add column purged_at timestamptz,
  add column purge_run_id uuid,
  add column store_until timestamptz,
  add column store_held boolean not null default false;
create index recording_past_idx on recording (tenant_id, retain_until) where purged_at is null;
create index recording_unlocked_idx on recording (tenant_id, sha256)
  where purged_at is null and store_until is distinct from retain_until;
create table recording_use (
  tenant_id uuid not null,
  sha256 text not null,
  interaction_id uuid not null,
  agency_id uuid not null,
  case_id text not null,
  started_at timestamptz not null,
  primary key (tenant_id, sha256, interaction_id),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index recording_use_tenant_id_case_id_idx on recording_use (tenant_id, case_id);
create index recording_use_tenant_id_interaction_id_idx
  on recording_use (tenant_id, interaction_id);
"""

# What the contacts of before stand on, superseded events included. The owner passes the fences of
# these tables only while it fills the new one.
BACKFILL = """
alter table event no force row level security;
alter table interaction no force row level security;
insert into recording_use (tenant_id, sha256, interaction_id, agency_id, case_id, started_at)
  select i.tenant_id, e.body #>> '{data,recording,sha256}', i.id, i.agency_id, i.case_id,
         max(greatest(i.started_at, (e.body #>> '{data,started_at}')::timestamptz))
    from event as e join interaction as i on i.tenant_id = e.tenant_id
      and i.agency_id = e.agency_id and i.interaction_id = e.interaction_id
    where e.body #>> '{data,recording,sha256}' is not null
    group by 1, 2, 3, 4, 5;
alter table event force row level security;
alter table interaction force row level security;
"""

# The lock on the hash puts "a contact names these bytes" and "they are removed" in an order.
USES = """
create function hegui_note_use() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended(new.tenant_id::text || new.recording_sha256, 0));
  insert into recording_use as u
      (tenant_id, sha256, interaction_id, agency_id, case_id, started_at)
    values (new.tenant_id, new.recording_sha256, new.id, new.agency_id, new.case_id,
            new.started_at)
    on conflict (tenant_id, sha256, interaction_id)
      do update set started_at = excluded.started_at where u.started_at < excluded.started_at;
  if found then
    -- A hold may reach the recording through this contact: the store is told anew.
    update recording set store_until = null where tenant_id = new.tenant_id
      and sha256 = new.recording_sha256 and purged_at is null and store_until is not null;
  end if;
  return null;
end $$;
create trigger interaction_uses_recording
  after insert or update of recording_sha256, started_at on interaction
  for each row when (new.recording_sha256 is not null) execute function hegui_note_use();
"""

HOLD = """
create table hold (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  kind text not null check (kind in ('interaction', 'case', 'recording', 'agency')),
  interaction_id uuid,
  case_id text,
  sha256 text,
  agency_id uuid,
  period_from timestamptz,
  period_to timestamptz,
  reason text not null,
  placed_at timestamptz not null,
  placed_by text not null,
  released_at timestamptz,
  released_by text,
  release_reason text,
  primary key (tenant_id, id),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id),
  constraint hold_names_one_subject_check check (
    (kind = 'interaction') = (interaction_id is not null)
    and (kind = 'case') = (case_id is not null)
    and (kind = 'recording') = (sha256 is not null)
    and (kind = 'agency') = (agency_id is not null)
    and (kind = 'agency') = (period_from is not null)
    and (kind = 'agency') = (period_to is not null)
    and coalesce(period_from < period_to, true)),
  constraint hold_release_is_whole_check check (
    (released_at is null) = (released_by is null)
    and (released_at is null) = (release_reason is null))
);
create index hold_tenant_id_placed_at_id_idx on hold (tenant_id, placed_at, id);
create function hegui_keep_hold() returns trigger language plpgsql as $$
begin
  if tg_op in ('DELETE', 'TRUNCATE') then
    raise exception 'holds are kept' using errcode = 'HG001';
  end if;
  -- A purge takes the same lock before it looks for holds.
  perform pg_advisory_xact_lock(hashtextextended('hold:' || new.tenant_id::text, 0));
  if tg_op = 'INSERT' then
    if new.released_at is not null then
      raise exception 'a hold begins unreleased' using errcode = 'HG001';
    end if;
    return new;
  end if;
  if old.released_at is not null or new.released_at is null
     or (to_jsonb(new) - '{released_at,released_by,release_reason}'::text[])
        is distinct from (to_jsonb(old) - '{released_at,released_by,release_reason}'::text[]) then
    raise exception 'a hold is only released, once' using errcode = 'HG001';
  end if;
  return new;
end $$;
create trigger hold_is_kept before insert or update or delete on hold
  for each row execute function hegui_keep_hold();
create trigger hold_is_not_emptied before truncate on hold
  for each statement execute function hegui_keep_hold();
create function hegui_is_held(p_tenant uuid, p_sha256 text) returns boolean
language sql stable as $$
  select exists (
    select 1 from hold as h where h.tenant_id = p_tenant and h.released_at is null and (
      h.sha256 = p_sha256
      or exists (select 1 from recording_use as u
        where u.tenant_id = p_tenant and u.sha256 = p_sha256 and (
          u.interaction_id = h.interaction_id or u.case_id = h.case_id
          or (u.agency_id = h.agency_id and u.started_at >= h.period_from
              and u.started_at < h.period_to)))))
$$;
"""

# A clock that jumps makes everything look old. It leaves a gap between ticks, and while there is
# an unexplained gap, or no tick of late, or one that has yet to come, nothing is removed.
CLOCK = """
create table clock_tick (
  at timestamptz primary key,
  accepted_by text
);
create function hegui_keep_tick() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.at := clock_timestamp();
    return new;
  end if;
  if tg_op = 'DELETE' and old.at > clock_timestamp() then
    return old;
  end if;
  raise exception 'ticks are kept' using errcode = 'HG001';
end $$;
create trigger clock_tick_is_kept before insert or update or delete on clock_tick
  for each row execute function hegui_keep_tick();
create function hegui_clock_flaw() returns text language sql stable as $$
  with tick as (
    select at, at - lag(at) over (order by at) as gap from clock_tick
  ), vouched as (
    select coalesce(max(at), '-infinity') as at from clock_tick where accepted_by is not null
  )
  select case
    when not exists (select 1 from tick where at > now() - interval '3 days' and at <= now()
                                              + interval '1 hour') then 'no_tick'
    when exists (select 1 from tick where at > now() + interval '1 hour') then 'went_back'
    when exists (select 1 from tick, vouched
                 where gap > interval '3 days' and tick.at > vouched.at) then 'jumped'
  end
$$;
"""

# The last word on a recording. Its row is never deleted; it is marked as purged only past its
# date, by an approved run that lists it, under no hold, by a sound clock, and when no contact of
# the last two years (the shortest floor there is) stands on it. Bytes that come again bring it
# back.
GUARD = """
create or replace function hegui_keep_recording() returns trigger language plpgsql as $$
begin
  if tg_op in ('DELETE', 'TRUNCATE') then
    raise exception 'a recording keeps its row' using errcode = 'HG001';
  end if;
  if new.retain_until < old.retain_until then
    raise exception 'retention may only be extended' using errcode = 'HG001';
  end if;
  if (new.tenant_id, new.sha256, new.size_bytes) is distinct from
     (old.tenant_id, old.sha256, old.size_bytes) or (new.received_at <> old.received_at
      and not (old.purged_at is not null and new.purged_at is null)) then
    raise exception 'a recording does not change' using errcode = 'HG001';
  end if;
  if old.purged_at is not null and new.purged_at is not null
     and (new.purged_at, new.purge_run_id) is distinct from (old.purged_at, old.purge_run_id) then
    raise exception 'a tombstone does not change' using errcode = 'HG001';
  end if;
  if old.purged_at is null and new.purged_at is not null then
    perform hegui_allow_purge(old, new.purge_run_id);
    new.purged_at := now();
  end if;
  return new;
end $$;
create function hegui_allow_purge(held recording, p_run uuid) returns void language plpgsql as $$
declare
  v_flaw text;
begin
  if nullif(current_setting('app.agency_id', true), '') is not null then
    raise exception 'only the lender purges' using errcode = 'HG001';
  end if;
  perform pg_advisory_xact_lock(hashtextextended(held.tenant_id::text || held.sha256, 0));
  perform pg_advisory_xact_lock(hashtextextended('hold:' || held.tenant_id::text, 0));
  v_flaw := hegui_clock_flaw();
  if v_flaw is not null then
    raise exception 'the clock is not to be trusted: %', v_flaw using errcode = 'HG001';
  end if;
  if held.retain_until > now() then
    raise exception 'recording is under retention' using errcode = 'HG001';
  end if;
  if hegui_is_held(held.tenant_id, held.sha256) then
    raise exception 'recording is under a legal hold' using errcode = 'HG001';
  end if;
  if exists (select 1 from recording_use as u where u.tenant_id = held.tenant_id
      and u.sha256 = held.sha256 and u.started_at > now() - interval '2 years') then
    raise exception 'recording is used by a recent contact' using errcode = 'HG001';
  end if;
  if not exists (select 1 from purge_run as r join purge_item as i on i.tenant_id = r.tenant_id
      and i.run_id = r.id where r.tenant_id = held.tenant_id and r.id = p_run
      and r.state = 'removing' and r.ready_at <= now() and i.sha256 = held.sha256
      and i.state = 'removing') then
    raise exception 'no approved purge run lists the recording' using errcode = 'HG001';
  end if;
end $$;
create trigger recording_is_not_emptied before truncate on recording
  for each statement execute function hegui_keep_recording();
"""

GUARD_BEFORE = """
drop trigger recording_is_not_emptied on recording;
create or replace function hegui_keep_recording() returns trigger language plpgsql as $$
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
drop function hegui_allow_purge(recording, uuid);
"""

HELD_BYTES = "r.tenant_id = p_tenant and r.sha256 = p_recording"
TABLES = (
    "notice", "agency_endpoint", "completeness_finding", "completeness_day", "call_list_row",
    "call_list", "purge_item", "purge_run", "clock_tick", "hold", "recording_use",
)  # fmt: skip
FUNCTIONS = (
    "hegui_note_use()", "hegui_keep_hold()", "hegui_is_held(uuid, text)", "hegui_keep_tick()",
    "hegui_clock_flaw()", "hegui_keep_purge_run()", "hegui_keep_purge_item()",
)  # fmt: skip


def replace_in_ingest(before: str, after: str) -> None:
    """Change one condition of the ingest function, whoever wrote the rest of it."""
    found = driver().execute("select pg_get_functiondef('hegui_ingest'::regproc)").fetchone()
    assert found is not None
    assert found[0].count(before) == 1
    script(found[0].replace(before, after))


def change_ingest() -> None:
    """Bytes that were purged are not there: a contact that names them waits for them anew."""
    replace_in_ingest(HELD_BYTES + ")", HELD_BYTES + " and r.purged_at is null)")


def upgrade() -> None:
    """Apply."""
    for part in (RECORDING, BACKFILL, USES, HOLD, CLOCK, PURGE, GUARD, COMPLETENESS):
        script(part)
    change_ingest()
    fence("recording_use", narrowed=BY_COLUMN, rights="select, insert, update")
    fence("hold", narrowed=NOTHING, rights="select, insert, update")
    fence("purge_run", narrowed=NOTHING, rights="select, insert, update")
    fence("purge_item", narrowed=NOTHING, rights="select, insert, update")
    of_agency = "hegui_granted_agency(tenant_id, agency_id)"
    fence("call_list", narrowed=BY_COLUMN, rights="select, insert, update", regulators=of_agency)
    fence("call_list_row", narrowed=BY_COLUMN, rights="select, insert, delete")
    for table in ("completeness_day", "completeness_finding"):
        fence(table, narrowed=BY_COLUMN, rights="select, insert, update", regulators=of_agency)
    fence("agency_endpoint", narrowed=BY_COLUMN, rights="select, insert, update, delete")
    fence("notice", narrowed=NOTHING, rights="select, insert, update")
    op.execute(f"grant select, insert, delete on clock_tick to {APP}")
    op.execute(f"revoke delete on recording from {APP}")
    script(
        f"""
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """
    )


def downgrade() -> None:
    """Undo; rows of purged recordings stay, without the mark."""
    replace_in_ingest(HELD_BYTES + " and r.purged_at is null)", HELD_BYTES + ")")
    script(GUARD_BEFORE)
    op.execute("drop trigger interaction_uses_recording on interaction")
    for table in TABLES:
        op.execute(f"drop table {table}")
    for function in FUNCTIONS:
        op.execute(f"drop function {function}")
    op.execute("drop index recording_past_idx, recording_unlocked_idx")
    for column in ("store_held", "store_until", "purge_run_id", "purged_at"):
        op.drop_column("recording", column)
    op.execute(f"grant delete on recording to {APP}")
