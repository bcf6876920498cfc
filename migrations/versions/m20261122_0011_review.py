"""People: reviews, disputes, sampling and rules under watch."""

from alembic import op

from migrations.fence import APP, BY_COLUMN, NOTHING, fence, script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# The same finding has another id in each revision of a verdict; its mark is the same as long as
# the rule and the evidence are.
MARK = """
create function hegui_finding_mark(p_rule text, p_doc jsonb) returns text
language sql immutable parallel safe as $$
  select md5(p_rule || chr(31) || coalesce(p_doc ->> 'segment', '')
    || chr(31) || coalesce(p_doc ->> 'char_start', '')
    || chr(31) || coalesce(p_doc ->> 'char_end', '')
    || chr(31) || coalesce(p_doc ->> 'heard', '')
    || chr(31) || coalesce(p_doc ->> 'facts', ''))
$$;
"""

TABLES = """
create table review_policy (
  tenant_id uuid not null references tenant (id),
  revision integer not null,
  "values" jsonb not null,
  set_at timestamptz not null,
  set_by text not null,
  primary key (tenant_id, revision)
);
create table review_item (
  tenant_id uuid not null,
  interaction_id uuid not null,
  mark text not null,
  assigned_to text,
  held_by text,
  attempt integer not null,
  lease_until timestamptz,
  primary key (tenant_id, interaction_id, mark),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id)
);
create table review (
  tenant_id uuid not null,
  id uuid not null,
  interaction_id uuid not null,
  mark text not null,
  reading text not null check (reading in ('first', 'second', 'judgement')),
  number integer not null,
  finding_id uuid not null,
  agency_id uuid not null,
  rule text not null,
  severity text not null,
  disposition text not null,
  was_violation boolean not null,
  decision text not null check (decision in ('confirm', 'dismiss', 'change')),
  to_rule text,
  to_severity text,
  reason text not null,
  decided_by text not null,
  decided_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, interaction_id, mark, reading, number),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id),
  foreign key (tenant_id, finding_id) references finding (tenant_id, id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index review_tenant_id_rule_decided_at_idx on review (tenant_id, rule, decided_at);
create index review_tenant_id_decided_at_id_idx on review (tenant_id, decided_at, id);
create table review_sample (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  method text not null check (method in ('random', 'stratified', 'risk')),
  seed text not null,
  since timestamptz not null,
  "to" timestamptz not null,
  agency_id uuid,
  size integer not null,
  second_share double precision not null,
  frame integer not null,
  strata jsonb,
  frame_sha256 text not null,
  drawn_at timestamptz not null,
  drawn_by text not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index review_sample_tenant_id_drawn_at_id_idx on review_sample (tenant_id, drawn_at, id);
create table review_sample_item (
  tenant_id uuid not null,
  sample_id uuid not null,
  position integer not null,
  interaction_id uuid not null,
  outcome text not null,
  stratum text not null,
  chance double precision not null,
  second boolean not null,
  primary key (tenant_id, sample_id, position),
  unique (tenant_id, sample_id, interaction_id),
  foreign key (tenant_id, sample_id) references review_sample (tenant_id, id),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id)
);
create index review_sample_item_tenant_id_interaction_id_idx
  on review_sample_item (tenant_id, interaction_id);
create table review_reading (
  tenant_id uuid not null,
  id uuid not null,
  sample_id uuid not null,
  interaction_id uuid not null,
  verdict_id uuid not null,
  reading text not null check (reading in ('first', 'second')),
  missed jsonb not null,
  reason text not null,
  read_by text not null,
  read_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, sample_id, interaction_id, reading),
  foreign key (tenant_id, sample_id) references review_sample (tenant_id, id),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id)
);
create table dispute (
  tenant_id uuid not null,
  id uuid not null,
  interaction_id uuid not null,
  mark text not null,
  finding_id uuid not null,
  agency_id uuid not null,
  rule text not null,
  severity text not null,
  state text not null check (state in ('open', 'upheld', 'rejected', 'lapsed', 'withdrawn')),
  text text not null,
  opened_by text not null,
  opened_at timestamptz not null,
  window_until timestamptz not null,
  decide_by timestamptz not null,
  reason text,
  decided_by text,
  decided_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, interaction_id, mark),
  foreign key (tenant_id, interaction_id) references interaction (tenant_id, id),
  foreign key (tenant_id, finding_id) references finding (tenant_id, id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id),
  constraint dispute_within_its_window check (opened_at < window_until)
);
create index dispute_tenant_id_opened_at_id_idx on dispute (tenant_id, opened_at, id);
create index dispute_open_idx on dispute (tenant_id, decide_by) where state = 'open';
create table dispute_file (
  tenant_id uuid not null,
  dispute_id uuid not null,
  sha256 text not null,
  agency_id uuid not null,
  size_bytes bigint not null,
  media_type text not null,
  added_by text not null,
  added_at timestamptz not null,
  primary key (tenant_id, dispute_id, sha256),
  foreign key (tenant_id, dispute_id) references dispute (tenant_id, id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create table watch_period (
  tenant_id uuid not null references tenant (id),
  rule text not null,
  since_at timestamptz not null,
  until_at timestamptz,
  at_start jsonb not null,
  at_end jsonb,
  primary key (tenant_id, rule, since_at)
);
create unique index watch_period_open_idx on watch_period (tenant_id, rule)
  where until_at is null;
create table badge (
  tenant_id uuid not null,
  agency_id uuid not null,
  digest bytea not null,
  made_at timestamptz not null,
  made_by text not null,
  primary key (tenant_id, agency_id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
alter table alert
  add column notice text not null default '',
  drop constraint alert_tenant_id_verdict_id_endpoint_id_rule_escalated_key,
  add constraint alert_once_key
    unique (tenant_id, verdict_id, endpoint_id, rule, escalated, notice);
"""

# Held by the database as well as by code: a judgement is final, it is nobody's own work that is
# judged, and nobody reads twice.
GUARDS = """
create function hegui_guard_review() returns trigger language plpgsql as $$
begin
  if exists (select 1 from dispute as d where d.tenant_id = new.tenant_id
             and d.interaction_id = new.interaction_id and d.mark = new.mark
             and d.state in ('upheld', 'rejected')) then
    raise exception 'the judgement of a dispute is final' using errcode = 'HG002';
  end if;
  if exists (select 1 from review as r where r.tenant_id = new.tenant_id
             and r.interaction_id = new.interaction_id and r.mark = new.mark
             and r.reading <> new.reading and r.decided_by = new.decided_by) then
    raise exception 'nobody reads a finding twice' using errcode = 'HG003';
  end if;
  return new;
end $$;
create trigger review_is_guarded before insert on review
  for each row execute function hegui_guard_review();
create function hegui_guard_dispute() returns trigger language plpgsql as $$
begin
  if old.state <> 'open' then
    raise exception 'the judgement of a dispute is final' using errcode = 'HG002';
  end if;
  if (new.interaction_id, new.mark, new.finding_id, new.agency_id, new.text, new.opened_at,
      new.window_until, new.decide_by)
     is distinct from (old.interaction_id, old.mark, old.finding_id, old.agency_id, old.text,
      old.opened_at, old.window_until, old.decide_by) then
    raise exception 'a dispute does not change' using errcode = 'HG002';
  end if;
  if new.state in ('upheld', 'rejected') and exists (
      select 1 from review as r where r.tenant_id = new.tenant_id
      and r.interaction_id = new.interaction_id and r.mark = new.mark
      and r.reading <> 'judgement' and r.decided_by = new.decided_by) then
    raise exception 'nobody judges a dispute of an own decision' using errcode = 'HG003';
  end if;
  return new;
end $$;
create trigger dispute_is_guarded before update on dispute
  for each row execute function hegui_guard_dispute();
"""

ALERT_BEFORE = """
alter table alert no force row level security;
delete from alert where notice <> '';
alter table alert force row level security;
alter table alert
  drop column notice,
  add constraint alert_tenant_id_verdict_id_endpoint_id_rule_escalated_key
    unique (tenant_id, verdict_id, endpoint_id, rule, escalated);
"""

NAMES = (
    "badge", "watch_period", "dispute_file", "dispute", "review_reading", "review_sample_item",
    "review_sample", "review", "review_item", "review_policy",
)  # fmt: skip


def upgrade() -> None:
    """Apply."""
    for part in (MARK, TABLES, GUARDS):
        script(part)
    # An agency's session reads the days of its window, its own disputes and the reviews of its own
    # findings, and nothing else of this.
    fence("review_policy", narrowed=None, rights="select, insert")
    fence("review_item", narrowed=NOTHING, rights="select, insert, update")
    fence("review", narrowed=BY_COLUMN, rights="select, insert")
    fence("review_sample", narrowed=NOTHING, rights="select, insert")
    fence("review_sample_item", narrowed=NOTHING, rights="select, insert")
    fence("review_reading", narrowed=NOTHING, rights="select, insert")
    fence("dispute", narrowed=BY_COLUMN, rights="select, insert, update")
    fence("dispute_file", narrowed=BY_COLUMN, rights="select, insert")
    fence("watch_period", narrowed=NOTHING, rights="select, insert, update")
    fence("badge", narrowed=NOTHING, rights="select, insert, update, delete")
    op.execute(f"grant execute on function hegui_finding_mark(text, jsonb) to {APP}")


def downgrade() -> None:
    """Undo; what people decided goes with it."""
    script(ALERT_BEFORE)
    for table in NAMES:
        op.execute(f"drop table {table}")
    op.execute("drop function hegui_guard_review()")
    op.execute("drop function hegui_guard_dispute()")
    op.execute("drop function hegui_finding_mark(text, jsonb)")
