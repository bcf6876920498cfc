"""Personal data: keys of tenants, sealed identities, keyed look-ups, erasure; limits and turns."""

import re
from collections.abc import Iterable

from alembic import op
from procrastinate.schema import SchemaManager

from migrations.fence import APP, NOTHING, driver, fence, script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEYS = """
create table data_key (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  purpose text not null constraint data_key_purpose_check check (purpose in ('seal', 'lookup')),
  wrapped bytea not null,
  master text not null,
  created_at timestamptz not null,
  retired_at timestamptz,
  primary key (tenant_id, id)
);
create unique index data_key_current_idx on data_key (tenant_id, purpose)
  where retired_at is null;
"""

# `sealed` is the part of an event that says who it is about; `body` does not hold it. The app may
# seal it anew under another key; what an event says is still never changed.
SEALED = """
alter table event add column sealed bytea, add column erased_at timestamptz;
create table person_phone (
  tenant_id uuid not null,
  digest text not null,
  role text not null,
  case_id text not null,
  primary key (tenant_id, digest, role, case_id)
);
"""

# Ingest is handed what is sealed, and the numbers as pairs of digest and role, beside the body.
# Numbers are noted once their case is locked, so that two groups of events cannot wait for each
# other, and not for a repetition, which must not bring back what was erased.
PARTED = (
    ("p_to_hear boolean, OUT", "p_to_hear boolean, p_sealed bytea, p_phones jsonb, OUT"),
    ("body_sha256, body, kind,", "body_sha256, body, sealed, kind,"),
    ("p_body_sha256, p_body, p_kind,", "p_body_sha256, p_body, p_sealed, p_kind,"),
    (
        "returning c.id into v_case;\n",
        """returning c.id into v_case;
  if p_phones is not null then
    insert into person_phone (tenant_id, digest, role, case_id)
      select p_tenant, p.pair ->> 0, p.pair ->> 1, p_case
        from jsonb_array_elements(p_phones) as p(pair)
      on conflict do nothing;
  end if;
""",
    ),
)

# Of two events with one timestamp the same one counts whichever came first. What is sealed is not
# in the body, so the digest of what was posted decides.
TIE = (
    "select held.body::text > new.body::text from",
    "select held.body_sha256 > new.body_sha256 from",
)
RETIE = """
do $do$
declare
  v_text text := pg_get_functiondef('hegui_ingest_again'::regproc);
begin
  if position('{before}' in v_text) = 0 then
    raise exception 'hegui_ingest_again does not read as expected';
  end if;
  execute replace(v_text, '{before}', '{after}');
end $do$;
"""

ERASURE = """
create table erasure (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  case_id text not null,
  at timestamptz not null,
  by text not null,
  counts jsonb not null,
  digest text not null,
  primary key (tenant_id, id)
);
create index erasure_tenant_id_case_id_idx on erasure (tenant_id, case_id);
"""
# The application may write to evidence in two ways, and the database holds it to them: seal the
# same persons anew, or take away whatever is personal once no recording of the case must be kept.
# What else a law or a hold keeps is decided before, in code.
REMAINS = """
create function hegui_remains(p_body jsonb) returns jsonb language sql immutable as $$
  select jsonb_build_object('type', p_body -> 'type', 'timestamp', p_body -> 'timestamp',
    'data', coalesce((
      select jsonb_object_agg(d.key, d.value) from jsonb_each(p_body -> 'data') as d
      where d.key in ('case_id', 'interaction_id', 'product', 'lender_type', 'overdue_since',
        'channel', 'direction', 'mode', 'started_at', 'ended_at', 'outcome', 'talk_seconds',
        'at', 'by')), '{}'))
$$;
create function hegui_keep_event() returns trigger language plpgsql as $$
begin
  if old.erased_at is null and new.erased_at is null and new.body = old.body
     and old.sealed is not null and new.sealed is not null then
    return new;
  end if;
  if old.erased_at is null and new.erased_at is not null and new.sealed is null
     and new.body = hegui_remains(old.body) then
    if exists (select 1 from interaction as i join recording as r
                 on r.tenant_id = i.tenant_id and r.sha256 = i.recording_sha256
               where i.tenant_id = old.tenant_id and i.case_id = old.case_id
                 and r.retain_until > now()) then
      raise exception 'recording is under retention' using errcode = 'HG001';
    end if;
    return new;
  end if;
  raise exception 'what an event says does not change' using errcode = 'HG003';
end $$;
create trigger event_is_kept before update on event
  for each row execute function hegui_keep_event();
create function hegui_keep_finding() returns trigger language plpgsql as $$
begin
  if new.doc = old.doc - '{quote,heard,facts,why,why_zh}'::text[] and exists (
      select 1 from interaction as i join event as e
        on e.tenant_id = i.tenant_id and e.id = i.event_id
      where i.tenant_id = old.tenant_id and i.id = old.interaction_id
        and e.erased_at is not null) then
    return new;
  end if;
  raise exception 'what a finding says does not change' using errcode = 'HG003';
end $$;
create trigger finding_is_kept before update on finding
  for each row execute function hegui_keep_finding();
"""
ERASE = """
create function hegui_erase_case(p_case text) returns jsonb language plpgsql as $$
declare
  v_tenant uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
  v_events integer;
  v_findings integer;
  v_transcripts integer;
begin
  update event set sealed = null, erased_at = now(), body = hegui_remains(body)
    where tenant_id = v_tenant and case_id = p_case and erased_at is null;
  get diagnostics v_events = row_count;
  update finding as f set doc = f.doc - '{quote,heard,facts,why,why_zh}'::text[]
    from interaction as i
    where f.tenant_id = v_tenant and i.tenant_id = v_tenant and i.id = f.interaction_id
      and i.case_id = p_case;
  get diagnostics v_findings = row_count;
  delete from transcript_piece as t using interaction as i
    where t.tenant_id = v_tenant and i.tenant_id = v_tenant and i.id = t.interaction_id
      and i.case_id = p_case;
  delete from transcript as t using interaction as i
    where t.tenant_id = v_tenant and i.tenant_id = v_tenant and i.id = t.interaction_id
      and i.case_id = p_case;
  get diagnostics v_transcripts = row_count;
  delete from person_phone where tenant_id = v_tenant and case_id = p_case;
  return jsonb_build_object('events', v_events, 'findings', v_findings,
    'transcripts', v_transcripts);
end $$;
"""

LIMITS = """
create table rate_limit (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  agency_id uuid,
  kind text not null
    constraint rate_limit_kind_check check (kind in ('requests', 'events', 'upload_mb')),
  amount integer not null constraint rate_limit_amount_check check (amount > 0),
  period_s integer not null constraint rate_limit_period_check check (period_s > 0),
  burst integer not null constraint rate_limit_burst_check check (burst > 0),
  set_at timestamptz not null,
  set_by text not null,
  primary key (tenant_id, id),
  unique nulls not distinct (tenant_id, agency_id, kind),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create table rate_state (
  tenant_id uuid not null,
  agency_id uuid not null,
  kind text not null,
  arrives_at timestamptz not null,
  primary key (tenant_id, agency_id, kind)
);
"""
# The generic cell rate algorithm: `arrives_at` is the time by which all that was taken would have
# arrived at the steady rate; it may lie ahead of the clock by a burst. Takes as much of what is
# wanted as there is room for, and nothing where that is less than the least. An agency without a
# limit of its own has only its lender's.
TAKE = """
create function hegui_take(
  p_tenant uuid, p_agency uuid, p_kind text, p_least integer, p_wanted integer,
  p_amount integer, p_period_s integer, p_burst integer,
  out taken integer, out room integer, out wait_s double precision,
  out amount integer, out period_s integer, out burst integer
) language plpgsql as $$
declare
  v_nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  v_now timestamptz := clock_timestamp();
  v_at timestamptz;
  v_each double precision;
  v_ahead double precision;
begin
  perform set_config('app.tenant_id', p_tenant::text, true);
  select l.amount, l.period_s, l.burst into amount, period_s, burst from rate_limit as l
    where l.tenant_id = p_tenant and l.kind = p_kind and l.agency_id is not distinct from p_agency;
  if not found then
    amount := p_amount; period_s := p_period_s; burst := p_burst;
  end if;
  if amount is null or amount = 0 then
    taken := p_wanted; room := p_wanted; wait_s := 0; amount := 0;
    return;
  end if;
  v_each := period_s::double precision / amount;
  insert into rate_state as s (tenant_id, agency_id, kind, arrives_at)
    values (p_tenant, coalesce(p_agency, v_nobody), p_kind, v_now)
    on conflict do nothing;
  select greatest(s.arrives_at, v_now) into v_at from rate_state as s
    where s.tenant_id = p_tenant and s.agency_id = coalesce(p_agency, v_nobody)
      and s.kind = p_kind for update;
  v_ahead := extract(epoch from v_at - v_now);
  room := greatest(0, floor(burst - v_ahead / v_each + 1e-6))::integer;
  if room < least(p_least, burst) then
    taken := 0;
    wait_s := v_ahead + (least(p_least, burst) - burst) * v_each;
    return;
  end if;
  taken := least(p_wanted, room);
  room := room - taken;
  wait_s := 0;
  update rate_state as s set arrives_at = v_at + make_interval(secs => taken * v_each)
    where s.tenant_id = p_tenant and s.agency_id = coalesce(p_agency, v_nobody)
      and s.kind = p_kind;
end $$;
"""

# Turns between lenders: a lender with ten thousand waiting jobs gets the next place as often as
# one with a single job. Work without a lender (the periodic steps) has a priority and goes first.
# A few lenders with waiting jobs are picked from a random place on, in a random order; where none
# of them has a job that is due, the oldest due job of all is taken.
TURNS_INDEX = """
create index hegui_jobs_turn_idx on procrastinate_jobs
  (queue_name, (coalesce(args ->> 'tenant_id', '')), priority desc, id) where status = 'todo';
"""
TURNS = """
create function hegui_waiting_tenants(p_queue text, p_most integer) returns text[]
language plpgsql as $$
declare
  v_start text := gen_random_uuid()::text;
  v_at text;
  v_found text[] := '{}';
begin
  for round in 1..2 loop
    v_at := case when round = 1 then v_start else '' end;
    while cardinality(v_found) < p_most loop
      select coalesce(j.args ->> 'tenant_id', '') into v_at from procrastinate_jobs as j
        where j.status = 'todo' and j.queue_name = p_queue
          and coalesce(j.args ->> 'tenant_id', '') >= v_at
          and (round = 1 or coalesce(j.args ->> 'tenant_id', '') < v_start)
        order by coalesce(j.args ->> 'tenant_id', '') limit 1;
      exit when not found;
      v_found := v_found || v_at;
      v_at := v_at || ' ';
    end loop;
  end loop;
  return v_found;
end $$;
create or replace function procrastinate_fetch_job_v2(
  target_queue_names character varying[], p_worker_id bigint
) returns procrastinate_jobs language plpgsql as $$
declare
  v_id bigint;
  v_turn record;
  found_job procrastinate_jobs;
begin
  select j.id into v_id from procrastinate_jobs as j
    where j.status = 'todo' and j.priority > 0
      and (target_queue_names is null or j.queue_name = any(target_queue_names))
      and (j.scheduled_at is null or j.scheduled_at <= now()) and hegui_is_unlocked(j)
    order by j.priority desc, j.id limit 1 for update of j skip locked;
  if v_id is null and target_queue_names is not null then
    for v_turn in
        select q.name, t.tenant from unnest(target_queue_names) as q(name),
          unnest(hegui_waiting_tenants(q.name, 16)) as t(tenant)
        order by random() loop
      select j.id into v_id from procrastinate_jobs as j
        where j.status = 'todo' and j.queue_name = v_turn.name
          and coalesce(j.args ->> 'tenant_id', '') = v_turn.tenant
          and (j.scheduled_at is null or j.scheduled_at <= now()) and hegui_is_unlocked(j)
        order by j.priority desc, j.id limit 1 for update of j skip locked;
      exit when v_id is not null;
    end loop;
  end if;
  if v_id is null then
    select j.id into v_id from procrastinate_jobs as j
      where j.status = 'todo'
        and (target_queue_names is null or j.queue_name = any(target_queue_names))
        and (j.scheduled_at is null or j.scheduled_at <= now()) and hegui_is_unlocked(j)
      order by j.priority desc, j.id limit 1 for update of j skip locked;
  end if;
  update procrastinate_jobs as j set status = 'doing', worker_id = p_worker_id
    where j.id = v_id returning j.* into found_job;
  return found_job;
end $$;
"""
# The queue's own rule about locks, which jobs of ours do not carry.
UNLOCKED = """
create function hegui_is_unlocked(p_job procrastinate_jobs) returns boolean
language sql stable as $$
  select p_job.lock is null or not exists (
    select 1 from procrastinate_jobs as other where other.lock = p_job.lock
      and (other.status = 'doing' or (other.status = 'todo' and (other.priority > p_job.priority
        or (other.priority = p_job.priority and other.id < p_job.id)))))
$$;
"""


def _own_fetch() -> str:
    """The queue's own function, as its package ships it."""
    found = re.search(
        r"CREATE FUNCTION (procrastinate_fetch_job_v2\(.*?\n\$\$;)",
        SchemaManager.get_schema(),
        re.DOTALL,
    )
    assert found is not None
    return "create or replace function " + found[1]


def _rewrite_ingest(changes: Iterable[tuple[str, str]]) -> None:
    """Make the ingest function anew with other parameters, whoever wrote the rest of it."""
    found = driver().execute("select pg_get_functiondef('hegui_ingest'::regproc)").fetchone()
    assert found is not None
    text: str = found[0]
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    op.execute("drop function hegui_ingest")
    script(text)


def change_ingest() -> None:
    """What this step changes in the functions of ingest; a later step makes them anew by it."""
    script(RETIE.format(before=TIE[0], after=TIE[1]))
    _rewrite_ingest(PARTED)


def upgrade() -> None:
    """Apply."""
    for part in (KEYS, SEALED, ERASURE, REMAINS, ERASE, LIMITS, TAKE, TURNS_INDEX, UNLOCKED, TURNS):
        script(part)
    change_ingest()
    fence("data_key", narrowed=NOTHING, rights="select, insert, update, delete")
    fence("person_phone", narrowed=NOTHING, rights="select, insert, delete")
    fence("erasure", narrowed=NOTHING, rights="select, insert")
    fence("rate_limit", narrowed=NOTHING, rights="select, insert, update, delete")
    fence("rate_state", narrowed=NOTHING, rights="select, insert, update, delete")
    script(
        f"""
        grant update (sealed, erased_at, body) on event to {APP};
        grant update (doc) on finding to {APP};
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """
    )


def downgrade() -> None:
    """Undo; events whose identity is sealed lose it, because nothing could open it."""
    script(_own_fetch())
    for function in (
        "hegui_waiting_tenants",
        "hegui_is_unlocked",
        "hegui_take",
        "hegui_erase_case",
    ):
        op.execute(f"drop function {function}")
    op.execute("drop index hegui_jobs_turn_idx")
    _rewrite_ingest((after, before) for before, after in PARTED)
    script(RETIE.format(before=TIE[1], after=TIE[0]))
    op.execute("drop trigger finding_is_kept on finding")
    op.execute("drop trigger event_is_kept on event")
    for function in ("hegui_keep_finding", "hegui_keep_event", "hegui_remains"):
        op.execute(f"drop function {function}")
    op.execute("revoke update (sealed, erased_at, body) on event from hegui_app")
    op.execute("revoke update (doc) on finding from hegui_app")
    for table in ("rate_state", "rate_limit", "erasure", "person_phone", "data_key"):
        op.execute(f"drop table {table}")
    op.drop_column("event", "erased_at")
    op.drop_column("event", "sealed")
    script(
        f"""
        revoke execute on function hegui_ingest from public;
        grant execute on function hegui_ingest to {APP};
        """
    )
