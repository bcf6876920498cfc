"""Ingest in one call: the event, its case, its interaction and the jobs that follow."""

from alembic import op

from migrations.fence import APP, script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# One statement is one transaction: the answer goes out only after its commit.
#  - The case row is raised before its check is enqueued. A check claims that row first, so either
#    it sees this event or the job added here is a new one.
#  - The advisory lock on a recording's hash puts "the event announces it" and "the bytes arrive"
#    in order; otherwise both could miss the other and the interaction would wait for ever.
#  - Of several events for one interaction the latest `timestamp` counts. Where that changes the
#    recording, running work on the old one loses its fence and the old transcript goes.
INGEST = """
create function hegui_ingest(
  p_tenant uuid, p_agency uuid, p_message_id text, p_body_sha256 text, p_body jsonb,
  p_kind text, p_case text, p_occurred timestamptz,
  p_interaction text, p_channel text, p_direction text, p_started timestamptz,
  p_recording text, p_has_url boolean, p_to_hear boolean,
  out receipt uuid, out fresh boolean, out body_sha256 text, out received_at timestamptz
) language plpgsql as $$
declare
  v_case uuid;
  v_interaction uuid;
  v_state text := 'accepted';
  v_now_state text;
begin
  perform set_config('app.tenant_id', p_tenant::text, true);
  receipt := gen_random_uuid();
  fresh := true;
  body_sha256 := p_body_sha256;
  received_at := clock_timestamp();
  insert into event (tenant_id, id, agency_id, message_id, body_sha256, body, kind, case_id,
                     interaction_id, occurred_at, received_at)
    values (p_tenant, receipt, p_agency, p_message_id, p_body_sha256, p_body, p_kind, p_case,
            p_interaction, p_occurred, received_at)
    on conflict (tenant_id, agency_id, message_id) do nothing;
  if not found then
    select e.id, false, e.body_sha256, e.received_at
      into receipt, fresh, body_sha256, received_at
      from event as e
      where e.tenant_id = p_tenant and e.agency_id = p_agency and e.message_id = p_message_id;
    return;
  end if;

  if p_to_hear then
    perform pg_advisory_xact_lock(hashtextextended(p_tenant::text || p_recording, 0));
  end if;
  insert into collection_case as c (tenant_id, id, case_id, wanted, checked, attempt)
    values (p_tenant, gen_random_uuid(), p_case, 1, 0, 0)
    on conflict (tenant_id, case_id) do update set wanted = c.wanted + 1
    returning c.id into v_case;

  if p_interaction is not null then
    if p_to_hear then
      v_state := case
        when exists (select 1 from recording as r
                     where r.tenant_id = p_tenant and r.sha256 = p_recording) then 'transcribing'
        when p_has_url then 'fetching'
        else 'waiting' end;
    end if;
    insert into interaction as i (tenant_id, id, agency_id, interaction_id, case_id, event_id,
        as_of, channel, direction, started_at, recording_sha256, to_hear, state, attempt,
        received_at)
      values (p_tenant, gen_random_uuid(), p_agency, p_interaction, p_case, receipt, p_occurred,
        p_channel, p_direction, p_started, p_recording, p_to_hear, v_state, 0,
        received_at)
      on conflict (tenant_id, agency_id, interaction_id) do nothing
      returning i.id into v_interaction;
    if not found then
      v_now_state := hegui_ingest_again(p_tenant, p_agency, p_interaction, p_case, receipt,
        p_occurred, p_channel, p_direction, p_started, p_recording, v_state, p_to_hear);
      select i.id into v_interaction from interaction as i
        where i.tenant_id = p_tenant and i.agency_id = p_agency
          and i.interaction_id = p_interaction;
    else
      v_now_state := v_state;
    end if;
    if v_now_state = 'transcribing' then
      perform hegui_enqueue('transcribe', 'audio', p_tenant, v_interaction, null);
    elsif v_now_state = 'fetching' then
      perform hegui_enqueue('fetch', 'audio', p_tenant, v_interaction, null);
    end if;
  end if;
  perform hegui_enqueue('check', 'rules', p_tenant, v_case, null);
end $$;
"""

AGAIN = """
create function hegui_ingest_again(
  p_tenant uuid, p_agency uuid, p_interaction text, p_case text, p_event uuid,
  p_occurred timestamptz, p_channel text, p_direction text, p_started timestamptz,
  p_recording text, p_state text, p_to_hear boolean
) returns text language plpgsql as $$
declare
  v_held interaction;
  v_anew boolean;
begin
  select * into strict v_held from interaction as i
    where i.tenant_id = p_tenant and i.agency_id = p_agency and i.interaction_id = p_interaction
    for update;
  if v_held.case_id <> p_case then
    raise exception 'interaction belongs to another case' using errcode = 'HG002';
  end if;
  -- The later event counts; of two with one timestamp the same one whichever came first.
  if p_occurred < v_held.as_of or (p_occurred = v_held.as_of and (
      select held.body::text > new.body::text from event as held, event as new
      where held.tenant_id = p_tenant and held.id = v_held.event_id
        and new.tenant_id = p_tenant and new.id = p_event)) then
    return null;
  end if;
  v_anew := (v_held.recording_sha256, v_held.to_hear) is distinct from (p_recording, p_to_hear)
    or (p_to_hear and v_held.state in ('waiting', 'missing') and p_state <> 'waiting');
  if v_anew then
    delete from transcript as t where t.tenant_id = p_tenant and t.interaction_id = v_held.id;
  end if;
  update interaction as i
    set event_id = p_event, as_of = p_occurred, channel = p_channel, direction = p_direction,
        started_at = p_started, recording_sha256 = p_recording, to_hear = p_to_hear,
        state = case when v_anew then p_state else i.state end,
        reason = case when v_anew then null else i.reason end,
        attempt = i.attempt + case when v_anew then 1 else 0 end,
        tries = case when v_anew then 0 else i.tries end,
        lease_until = case when v_anew then null else i.lease_until end
    where i.tenant_id = p_tenant and i.id = v_held.id;
  return case when v_anew then p_state end;
end $$;
"""


def upgrade() -> None:
    """Apply."""
    for part in (AGAIN, INGEST):
        script(part)
    script(
        f"""
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """
    )


def downgrade() -> None:
    """Undo."""
    op.execute("drop function hegui_ingest")
    op.execute("drop function hegui_ingest_again")
