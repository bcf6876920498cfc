"""Ingest of a whole group of events in sets, all of its functions written out in one place."""

import re

from alembic import op
from procrastinate.schema import SchemaManager

from migrations.fence import APP, script
from migrations.versions import (
    m20261122_0003_ingest,
    m20261122_0008_privacy,
    m20261122_0009_retention,
    m20261122_0012_speakers,
)

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# One event as the application hands it over, of one tenant. `receipt` is the id that it will have
# if it is new; `sealed` and `phones` (pairs of digest and role) say who it is about; the columns
# from `interaction` on are null for an event about a case.
ARRIVAL = """
create type hegui_arrival as (
  receipt uuid,
  agency uuid,
  message_id text,
  digest text,
  body jsonb,
  sealed bytea,
  phones jsonb,
  kind text,
  case_id text,
  occurred_at timestamptz,
  interaction text,
  channel text,
  direction text,
  started_at timestamptz,
  recording text,
  has_url boolean,
  to_hear boolean
);
"""

# What is taken in together is stored together: each statement writes the rows of all events, in
# one order whoever stores, because most of a small statement's cost is its start. One call is one
# transaction: the answer goes out only after its commit.
#  - A repetition is answered with what was stored the first time, and does nothing else: it must
#    not bring back what was erased meanwhile.
#  - The lock on a recording's hash puts "the event announces it" and "the bytes arrive" in order;
#    otherwise both could miss the other and the interaction would wait for ever. Each statement
#    after it sees what was committed before the lock was had.
#  - The case row is raised before its check is enqueued. A check claims that row first, so either
#    it sees these events or the job added here is a new one.
#  - Numbers are noted once their case is locked, so that two groups cannot wait for each other.
INGEST = """
create function hegui_ingest_all(p_tenant uuid, p_arrived hegui_arrival[])
returns table (given uuid, receipt uuid, body_sha256 text, received_at timestamptz)
language plpgsql as $$
#variable_conflict use_column
declare
  v_new hegui_arrival[] := p_arrived;
  v_added uuid[];
  v_digests text[];
  v_times timestamptz[];
  v_cases uuid[];
  v_contacts uuid[];
  v_events uuid[];
  v_states text[];
  v_late hegui_arrival;
  v_contact uuid;
  v_state text;
begin
  perform set_config('app.tenant_id', p_tenant::text, true);

  with added as (
    insert into event as e (tenant_id, id, agency_id, message_id, body_sha256, body, sealed, kind,
                            case_id, interaction_id, occurred_at, received_at)
      select p_tenant, n.receipt, n.agency, n.message_id, n.digest, n.body, n.sealed, n.kind,
             n.case_id, n.interaction, n.occurred_at, clock_timestamp()
        from unnest(p_arrived) as n order by n.agency, n.message_id
      on conflict (tenant_id, agency_id, message_id) do nothing
      returning e.id, e.body_sha256, e.received_at
  )
  select array_agg(a.id), array_agg(a.body_sha256), array_agg(a.received_at)
    into v_added, v_digests, v_times from added as a;
  return query
    select a.id, a.id, a.digest, a.at from unnest(v_added, v_digests, v_times) as a(id, digest, at);
  if coalesce(cardinality(v_added), 0) < cardinality(p_arrived) then
    return query
      select n.receipt, e.id, e.body_sha256, e.received_at
        from unnest(p_arrived) as n
          join event as e on e.tenant_id = p_tenant and e.agency_id = n.agency
            and e.message_id = n.message_id
        where n.receipt <> all (coalesce(v_added, '{}'));
    select array_agg(n) into v_new from unnest(p_arrived) as n where n.receipt = any (v_added);
    if v_new is null then
      return;
    end if;
  end if;

  perform pg_advisory_xact_lock(hashtextextended(p_tenant::text || r.recording, 0))
    from (select distinct n.recording from unnest(v_new) as n
            where n.recording is not null order by n.recording) as r;

  with raised as (
    insert into collection_case as c (tenant_id, id, case_id, wanted, checked, attempt)
      select p_tenant, gen_random_uuid(), n.case_id, count(*), 0, 0
        from unnest(v_new) as n group by n.case_id order by n.case_id
      on conflict (tenant_id, case_id) do update set wanted = c.wanted + excluded.wanted
      returning c.id
  )
  select array_agg(r.id) into v_cases from raised as r;

  insert into person_phone (tenant_id, digest, role, case_id)
    select p_tenant, p.pair ->> 0, p.pair ->> 1, n.case_id
      from unnest(v_new) as n, jsonb_array_elements(n.phones) as p(pair)
      order by n.case_id, p.pair ->> 0, p.pair ->> 1
    on conflict do nothing;

  with added as (
    insert into interaction as i (tenant_id, id, agency_id, interaction_id, case_id, event_id,
        as_of, channel, direction, started_at, recording_sha256, to_hear, state, attempt,
        received_at)
      select p_tenant, gen_random_uuid(), n.agency, n.interaction, n.case_id, n.receipt,
             n.occurred_at, n.channel, n.direction, n.started_at, n.recording, n.to_hear,
             case when n.to_hear then hegui_first_state(p_tenant, n.recording, n.has_url)
               else 'accepted' end,
             0, clock_timestamp()
        from unnest(v_new) as n where n.interaction is not null
        order by n.agency, n.interaction, n.message_id
      on conflict (tenant_id, agency_id, interaction_id) do nothing
      returning i.id, i.event_id, i.state
  )
  select array_agg(a.id), array_agg(a.event_id), array_agg(a.state)
    into v_contacts, v_events, v_states from added as a;
  for v_late in
      select * from unnest(v_new) as n
        where n.interaction is not null and n.receipt <> all (coalesce(v_events, '{}'))
        order by n.agency, n.interaction, n.message_id loop
    select again.contact, again.state into v_contact, v_state
      from hegui_ingest_again(p_tenant, v_late) as again;
    v_contacts := v_contacts || v_contact;
    v_states := v_states || v_state;
  end loop;

  if 'transcribing' = any (v_states) then
    perform hegui_enqueue_all('transcribe', 'audio', p_tenant, array(
      select c.id from unnest(v_contacts, v_states) as c(id, state)
        where c.state = 'transcribing' order by c.id));
  end if;
  if 'fetching' = any (v_states) then
    perform hegui_enqueue_all('fetch', 'audio', p_tenant, array(
      select c.id from unnest(v_contacts, v_states) as c(id, state)
        where c.state = 'fetching' order by c.id));
  end if;
  perform hegui_enqueue_all('check', 'rules', p_tenant, v_cases);
end $$;
"""

# Where a contact that must be heard begins. Bytes that were purged are not there: a contact that
# names them waits for them anew.
FIRST_STATE = """
create function hegui_first_state(p_tenant uuid, p_recording text, p_has_url boolean)
returns text language plpgsql stable as $$
begin
  return case
    when exists (select 1 from recording as r where r.tenant_id = p_tenant
                   and r.sha256 = p_recording and r.purged_at is null) then 'transcribing'
    when p_has_url then 'fetching'
    else 'waiting' end;
end $$;
"""

# An event for an interaction that is there already. The latest `timestamp` counts; of two with one
# timestamp the same one whichever came first. Where it changes what is heard (other bytes, or who
# speaks on which channel, which the hearing was held against), running work loses its fence and
# the old transcript goes. `state` is null where nothing is to be heard anew.
AGAIN = """
create function hegui_ingest_again(
  p_tenant uuid, p_new hegui_arrival, out contact uuid, out state text
) language plpgsql as $$
declare
  v_held interaction;
  v_before event;
  v_state text := 'accepted';
  v_anew boolean;
begin
  select * into strict v_held from interaction as i
    where i.tenant_id = p_tenant and i.agency_id = p_new.agency
      and i.interaction_id = p_new.interaction
    for update;
  if v_held.case_id <> p_new.case_id then
    raise exception 'interaction belongs to another case' using errcode = 'HG002';
  end if;
  contact := v_held.id;
  select * into strict v_before from event as e
    where e.tenant_id = p_tenant and e.id = v_held.event_id;
  if p_new.occurred_at < v_held.as_of
     or (p_new.occurred_at = v_held.as_of and v_before.body_sha256 > p_new.digest) then
    return;
  end if;
  if p_new.to_hear then
    v_state := hegui_first_state(p_tenant, p_new.recording, p_new.has_url);
  end if;
  v_anew := (v_held.recording_sha256, v_held.to_hear)
      is distinct from (p_new.recording, p_new.to_hear)
    or (p_new.to_hear and v_held.state in ('waiting', 'missing') and v_state <> 'waiting')
    or (p_new.to_hear and v_before.body #> '{data,recording,speakers}'
      is distinct from p_new.body #> '{data,recording,speakers}');
  if v_anew then
    delete from transcript as t where t.tenant_id = p_tenant and t.interaction_id = v_held.id;
    state := v_state;
  end if;
  update interaction as i
    set event_id = p_new.receipt, as_of = p_new.occurred_at, channel = p_new.channel,
        direction = p_new.direction, started_at = p_new.started_at,
        recording_sha256 = p_new.recording, to_hear = p_new.to_hear,
        state = case when v_anew then v_state else i.state end,
        reason = case when v_anew then null else i.reason end,
        attempt = i.attempt + case when v_anew then 1 else 0 end,
        tries = case when v_anew then 0 else i.tries end,
        lease_until = case when v_anew then null else i.lease_until end
    where i.tenant_id = p_tenant and i.id = v_held.id;
end $$;
"""

# The release before takes its events in one by one.
ONE = """
create function hegui_ingest(
  p_tenant uuid, p_agency uuid, p_message_id text, p_body_sha256 text, p_body jsonb,
  p_kind text, p_case text, p_occurred timestamptz,
  p_interaction text, p_channel text, p_direction text, p_started timestamptz,
  p_recording text, p_has_url boolean, p_to_hear boolean, p_sealed bytea, p_phones jsonb,
  out receipt uuid, out fresh boolean, out body_sha256 text, out received_at timestamptz
) language plpgsql as $$
#variable_conflict use_column
begin
  select a.receipt, a.given = a.receipt, a.body_sha256, a.received_at
    into receipt, fresh, body_sha256, received_at
    from hegui_ingest_all(p_tenant, array[row(gen_random_uuid(), p_agency, p_message_id,
      p_body_sha256, p_body, p_sealed, p_phones, p_kind, p_case, p_occurred, p_interaction,
      p_channel, p_direction, p_started, p_recording, p_has_url, p_to_hear)::hegui_arrival]) as a;
end $$;
"""

# While the same job still waits there is one of it, and it becomes due at once.
ENQUEUE = """
create function hegui_enqueue_all(p_job text, p_queue text, p_tenant uuid, p_subjects uuid[])
returns void language plpgsql as $$
declare
  v_added integer;
begin
  insert into procrastinate_jobs (queue_name, task_name, queueing_lock, args)
    select p_queue, p_job, p_job || ':' || s.id,
           jsonb_build_object('tenant_id', p_tenant, 'subject_id', s.id)
      from unnest(p_subjects) as s(id)
    on conflict (queueing_lock) where status = 'todo' do nothing;
  get diagnostics v_added = row_count;
  if v_added < cardinality(p_subjects) then
    update procrastinate_jobs as held set scheduled_at = null
      from unnest(p_subjects) as s(id)
      where held.queueing_lock = p_job || ':' || s.id and held.status = 'todo'
        and held.scheduled_at is not null;
  end if;
end $$;
"""

# The queue's own triggers note each new job and tell the workers of each. One of a statement does
# both for all of its jobs; a worker that is told once looks until nothing is left.
ADDED = """
create function hegui_jobs_were_added() returns trigger language plpgsql as $$
declare
  v_queue record;
begin
  insert into procrastinate_events (job_id, type)
    select a.id, 'deferred'::procrastinate_job_event_type from added as a where a.status = 'todo';
  for v_queue in
      select a.queue_name as name,
             json_build_object('type', 'job_inserted', 'job_id', max(a.id))::text as told
        from added as a where a.status = 'todo' group by a.queue_name loop
    perform pg_notify('procrastinate_queue_v1#' || v_queue.name, v_queue.told);
    perform pg_notify('procrastinate_any_queue_v1', v_queue.told);
  end loop;
  return null;
end $$;
create trigger hegui_jobs_were_added after insert on procrastinate_jobs
  referencing new table as added for each statement execute function hegui_jobs_were_added();
"""
ROW_TRIGGERS = (
    "procrastinate_jobs_notify_queue_job_inserted_v1",
    "procrastinate_trigger_status_events_insert_v1",
)


def _own_trigger(name: str) -> str:
    """A trigger of the queue, as its package ships it."""
    found = re.search(rf"CREATE TRIGGER {name}\b.*?;", SchemaManager.get_schema(), re.DOTALL)
    assert found is not None
    return found[0]


def _open_to_app() -> None:
    script(
        f"""
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """
    )


def upgrade() -> None:
    """Apply."""
    op.execute("drop function hegui_ingest")
    op.execute("drop function hegui_ingest_again")
    for part in (ARRIVAL, FIRST_STATE, AGAIN, ENQUEUE, INGEST, ONE):
        script(part)
    for name in ROW_TRIGGERS:
        op.execute(f"drop trigger {name} on procrastinate_jobs")
    script(ADDED)
    _open_to_app()


def downgrade() -> None:
    """Undo: the functions are made again by the steps that made and changed them."""
    op.execute("drop trigger hegui_jobs_were_added on procrastinate_jobs")
    for name in ROW_TRIGGERS:
        script(_own_trigger(name))
    for function in (
        "hegui_jobs_were_added",
        "hegui_ingest",
        "hegui_ingest_all",
        "hegui_ingest_again",
        "hegui_enqueue_all",
        "hegui_first_state",
    ):
        op.execute(f"drop function {function}")
    op.execute("drop type hegui_arrival")
    script(m20261122_0003_ingest.AGAIN)
    script(m20261122_0003_ingest.INGEST)
    m20261122_0008_privacy.change_ingest()
    m20261122_0009_retention.change_ingest()
    m20261122_0012_speakers.upgrade()
    _open_to_app()
