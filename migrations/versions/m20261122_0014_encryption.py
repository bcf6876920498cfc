"""What is sealed at rest: recordings, texts and secrets."""

from alembic import op

from migrations.fence import APP, NOTHING, driver, fence, script
from migrations.versions.m20261122_0011_review import MARK

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# The key of each sealed object of the store. It goes when the recording was purged; before that
# only its wrapping may change.
RECORDING_KEY = """
create table recording_key (
  tenant_id uuid not null references tenant (id),
  sha256 text not null,
  id uuid not null,
  sealed bytea not null,
  primary key (tenant_id, sha256, id)
);
create function hegui_keep_recording_key() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if (new.tenant_id, new.sha256, new.id) is distinct from (old.tenant_id, old.sha256, old.id) then
      raise exception 'a key stays with its recording' using errcode = 'HG001';
    end if;
    return new;
  end if;
  if exists (select 1 from recording as r where r.tenant_id = old.tenant_id
      and r.sha256 = old.sha256 and r.purged_at is null) then
    raise exception 'a key stays with its recording' using errcode = 'HG001';
  end if;
  return old;
end $$;
create trigger recording_key_is_kept before update or delete on recording_key
  for each row execute function hegui_keep_recording_key();
create trigger recording_key_is_not_emptied before truncate on recording_key
  for each statement execute function hegui_append_only();
"""

# Free texts of people are sealed, and may be sealed anew; once a case was erased they are emptied.
# Nothing else of a decision changes, as before.
TEXTS = """
create function hegui_text_may_become(p_old text, p_new text, p_erased boolean) returns boolean
language sql immutable as $$
  select p_new is not distinct from p_old
    or (p_old <> '' and p_new like 'hegui/sealed/1:%')
    or (p_erased and p_old is not null and p_new = '')
$$;
create function hegui_is_erased(p_tenant uuid, p_interaction uuid) returns boolean
language sql stable as $$
  select exists (select 1 from interaction as i join event as e
    on e.tenant_id = i.tenant_id and e.id = i.event_id
    where i.tenant_id = p_tenant and i.id = p_interaction and e.erased_at is not null)
$$;
create function hegui_keep_reason() returns trigger language plpgsql as $$
declare
  v_erased boolean := hegui_is_erased(old.tenant_id, old.interaction_id);
begin
  if to_jsonb(new) - '{reason,mark}'::text[] = to_jsonb(old) - '{reason,mark}'::text[]
     and (v_erased or to_jsonb(new) -> 'mark' is not distinct from to_jsonb(old) -> 'mark')
     and hegui_text_may_become(old.reason, new.reason, v_erased) then
    return new;
  end if;
  raise exception 'a decision does not change' using errcode = 'HG002';
end $$;
create trigger review_is_kept before update on review
  for each row execute function hegui_keep_reason();
create trigger review_reading_is_kept before update on review_reading
  for each row execute function hegui_keep_reason();
create function hegui_keep_file() returns trigger language plpgsql as $$
begin
  if exists (select 1 from dispute as d where d.tenant_id = old.tenant_id
      and d.id = old.dispute_id and hegui_is_erased(d.tenant_id, d.interaction_id)) then
    return old;
  end if;
  raise exception 'a file stays with its dispute' using errcode = 'HG002';
end $$;
create trigger dispute_file_is_kept before delete on dispute_file
  for each row execute function hegui_keep_file();
"""
# The guard of disputes lets their texts be sealed anew and emptied, whatever their state.
GUARD_BEFORE = """begin
  if old.state <> 'open' then"""
GUARD_AFTER = """declare
  v_erased boolean := hegui_is_erased(old.tenant_id, old.interaction_id);
begin
  if to_jsonb(new) - '{text,reason,mark}'::text[] = to_jsonb(old) - '{text,reason,mark}'::text[]
     and (v_erased or new.mark = old.mark)
     and hegui_text_may_become(old.text, new.text, v_erased)
     and hegui_text_may_become(old.reason, new.reason, v_erased) then
    return new;
  end if;
  if old.state <> 'open' then"""
# A finding's mark, which joins it to its reviews, was made from its words. When these go it gets
# another one that nobody can make from words that he guesses, and keeps it.
FINDING_MARK = """
create or replace function hegui_finding_mark(p_rule text, p_doc jsonb) returns text
language sql immutable parallel safe as $$
  select coalesce(p_doc ->> 'mark', md5(p_rule || chr(31) || coalesce(p_doc ->> 'segment', '')
    || chr(31) || coalesce(p_doc ->> 'char_start', '')
    || chr(31) || coalesce(p_doc ->> 'char_end', '')
    || chr(31) || coalesce(p_doc ->> 'heard', '')
    || chr(31) || coalesce(p_doc ->> 'facts', '')))
$$;
"""
FINDING_BEFORE = "new.doc = old.doc - '{quote,heard,facts,why,why_zh}'::text[]"
FINDING_AFTER = "new.doc - 'mark' = old.doc - '{quote,heard,facts,why,why_zh,mark}'::text[]"
# What people wrote about the contacts of a case goes with it; what they decided stays. The bytes
# of a dispute's files are recordings of their own and were purged before.
ERASE_MORE = (
    ("  v_transcripts integer;\n", ("  v_transcripts integer;\n  v_reviews integer;\n"
     "  v_readings integer;\n  v_disputes integer;\n  v_files integer;\n"
     "  v_salt text := gen_random_uuid()::text || gen_random_uuid()::text;\n")),
    ("set doc = f.doc - '{quote,heard,facts,why,why_zh}'::text[]",
     ("set doc = f.doc - '{quote,heard,facts,why,why_zh}'::text[]\n      || jsonb_build_object("
      "'mark', md5(hegui_finding_mark(f.rule, f.doc) || v_salt))")),
    ("  delete from person_phone", """  update review as w
      set reason = '', mark = md5(w.mark || v_salt)
    from interaction as i
    where w.tenant_id = v_tenant and i.tenant_id = v_tenant and i.id = w.interaction_id
      and i.case_id = p_case;
  get diagnostics v_reviews = row_count;
  update review_item as w set mark = md5(w.mark || v_salt) from interaction as i
    where w.tenant_id = v_tenant and i.tenant_id = v_tenant and i.id = w.interaction_id
      and i.case_id = p_case and w.mark <> '';
  update review_reading as w set reason = '' from interaction as i
    where w.tenant_id = v_tenant and i.tenant_id = v_tenant and i.id = w.interaction_id
      and i.case_id = p_case and w.reason <> '';
  get diagnostics v_readings = row_count;
  delete from dispute_file as f using dispute as d, interaction as i
    where f.tenant_id = v_tenant and d.tenant_id = v_tenant and d.id = f.dispute_id
      and i.tenant_id = v_tenant and i.id = d.interaction_id and i.case_id = p_case;
  get diagnostics v_files = row_count;
  update dispute as w set text = '', reason = case when w.reason is not null then '' end,
      mark = md5(w.mark || v_salt)
    from interaction as i
    where w.tenant_id = v_tenant and i.tenant_id = v_tenant and i.id = w.interaction_id
      and i.case_id = p_case;
  get diagnostics v_disputes = row_count;
  delete from person_phone"""),
    ("'transcripts', v_transcripts)", ("'transcripts', v_transcripts, 'reviews',"
     " v_reviews + v_readings, 'disputes', v_disputes, 'files', v_files)")),
)  # fmt: skip

# The jobs of a lender that was suspended or removed stay where they are: nobody takes them.
RESTING = """
create function hegui_resting_tenants() returns text[] language sql stable as $$
  select coalesce(array_agg(t.id::text), '{}') from tenant as t
    where t.suspended_at is not null or t.removed_at is not null
$$;
"""
TURNS = (
    (("  v_found text[] := '{}';\n"),
     ("  v_found text[] := '{}';\n  v_resting text[] := hegui_resting_tenants();\n")),
    ("      v_found := v_found || v_at;\n",
     ("      if v_at <> all(v_resting) then\n        v_found := v_found || v_at;\n"
      "      end if;\n")),
)  # fmt: skip
FETCH = (
    ("  v_turn record;\n", "  v_turn record;\n  v_resting text[];\n"),
    (
        "  if v_id is null then\n    select j.id",
        "  if v_id is null then\n    v_resting := hegui_resting_tenants();\n    select j.id",
    ),
    (
        "      where j.status = 'todo'\n        and (target_queue_names is null",
        (
            "      where j.status = 'todo'\n"
            "        and coalesce(j.args ->> 'tenant_id', '') <> all(v_resting)\n"
            "        and (target_queue_names is null"
        ),
    ),
)

# What was heard is sealed beside its columns. To seal it anew, or for the first time, is not to
# hear it anew: the ledger's entry stays.
WORDS = """
alter table transcript add column sealed_segments bytea, add column sealed_words bytea;
alter table transcript_piece add column sealed bytea;
"""
REWRITTEN = (
    (
        "(new.recording_sha256, new.segments, new.engine",
        (
            "(new.recording_sha256, case when new.sealed_segments is null then new.segments end,"
            " new.engine"
        ),
    ),
    (
        "(old.recording_sha256, old.segments, old.engine",
        (
            "(old.recording_sha256, case when new.sealed_segments is null then old.segments end,"
            " old.engine"
        ),
    ),
)


def change_function(name: str, *changes: tuple[str, str]) -> None:
    """Change parts of a function as it stands; each part must be there once."""
    found = driver().execute("select pg_get_functiondef(%s::regproc)", (name,)).fetchone()
    assert found is not None
    body = found[0]
    for before, after in changes:
        assert body.count(before) == 1, before
        body = body.replace(before, after)
    script(body)


def upgrade() -> None:
    """Apply."""
    script(RECORDING_KEY)
    script(TEXTS)
    change_function("hegui_guard_dispute", (GUARD_BEFORE, GUARD_AFTER))
    change_function("hegui_erase_case", *ERASE_MORE)
    change_function("hegui_keep_finding", (FINDING_BEFORE, FINDING_AFTER))
    script(FINDING_MARK)
    script(WORDS)
    change_function("hegui_rewritten", *REWRITTEN)
    script(RESTING)
    change_function("hegui_waiting_tenants", *TURNS)
    change_function("procrastinate_fetch_job_v2", *FETCH)
    op.execute(f"grant update (reason, mark) on review to {APP}")
    op.execute(f"grant update (reason) on review_reading to {APP}")
    op.execute(f"grant delete on dispute_file to {APP}")
    fence("recording_key", narrowed=NOTHING, rights="select, insert, update, delete")
    script(
        f"""
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """
    )


def downgrade() -> None:
    """Undo; sealed objects cannot be opened any more."""
    change_function("procrastinate_fetch_job_v2", *((after, before) for before, after in FETCH))
    change_function("hegui_waiting_tenants", *((after, before) for before, after in TURNS))
    op.execute("drop function hegui_resting_tenants()")
    change_function("hegui_rewritten", *((after, before) for before, after in REWRITTEN))
    op.drop_column("transcript_piece", "sealed")
    op.drop_column("transcript", "sealed_words")
    op.drop_column("transcript", "sealed_segments")
    op.execute(f"revoke delete on dispute_file from {APP}")
    op.execute(f"revoke update (reason) on review_reading from {APP}")
    op.execute(f"revoke update (reason, mark) on review from {APP}")
    script(MARK.replace("create function", "create or replace function"))
    change_function("hegui_keep_finding", (FINDING_AFTER, FINDING_BEFORE))
    change_function("hegui_erase_case", *((after, before) for before, after in ERASE_MORE))
    change_function("hegui_guard_dispute", (GUARD_AFTER, GUARD_BEFORE))
    op.execute("drop trigger dispute_file_is_kept on dispute_file")
    op.execute("drop trigger review_reading_is_kept on review_reading")
    op.execute("drop trigger review_is_kept on review")
    for function in ("hegui_keep_file()", "hegui_keep_reason()", "hegui_is_erased(uuid, uuid)",
                     "hegui_text_may_become(text, text, boolean)"):  # fmt: skip
        op.execute(f"drop function {function}")
    op.execute("drop table recording_key")
    op.execute("drop function hegui_keep_recording_key()")
