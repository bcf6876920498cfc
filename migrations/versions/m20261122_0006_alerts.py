"""Alerts: subscriptions, kinds of endpoints, digests, acknowledgement, escalation, their log."""

from alembic import op

from migrations.fence import NOTHING, fence, script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ENDPOINT = """
alter table endpoint
  add column kind text not null default 'webhook',
  add column agencies jsonb,
  add column families jsonb,
  add column lowest_severity text not null default 'low',
  add column dispositions jsonb not null default '["violation"]',
  add column window_s integer not null default 0,
  add column escalate_to uuid,
  add column escalate_after_s integer,
  add column secret_previous text,
  add column previous_until timestamptz,
  add column next_post_at timestamptz,
  add column delivery_id uuid,
  add column lease_until timestamptz,
  add column removed_at timestamptz,
  add constraint endpoint_kind_check
    check (kind in ('webhook', 'dingtalk', 'wecom', 'feishu', 'slack', 'email')),
  add constraint endpoint_lowest_severity_check
    check (lowest_severity in ('low', 'medium', 'high', 'critical')),
  add constraint endpoint_escalation_is_whole_check
    check ((escalate_to is null) = (escalate_after_s is null)),
  add constraint endpoint_tenant_id_escalate_to_fkey
    foreign key (tenant_id, escalate_to) references endpoint (tenant_id, id);
"""

# The release before writes alerts without these columns, so each has a default or may be empty.
ALERT = """
alter table alert
  add column agency_id uuid,
  add column rule text not null default '',
  add column severity text not null default 'high',
  add column findings integer not null default 1,
  add column escalated boolean not null default false,
  add column window_until timestamptz,
  add column delivery_id uuid,
  add column delivered_at timestamptz,
  add column escalate_at timestamptz,
  add column acknowledged_at timestamptz,
  add column acknowledged_by text,
  drop constraint alert_tenant_id_verdict_id_endpoint_id_key,
  add constraint alert_tenant_id_verdict_id_endpoint_id_rule_escalated_key
    unique (tenant_id, verdict_id, endpoint_id, rule, escalated),
  add constraint alert_tenant_id_agency_id_fkey
    foreign key (tenant_id, agency_id) references agency (tenant_id, id);
alter table alert no force row level security;
update alert set severity = coalesce(payload #>> '{data,severity}', severity),
  agency_id = (payload #>> '{data,agency_id}')::uuid;
alter table alert force row level security;
create index alert_waiting_idx on alert (tenant_id, endpoint_id, next_at) where state = 'pending';
create index alert_escalate_idx on alert (tenant_id, escalate_at) where escalate_at is not null;
create index alert_tenant_id_created_at_id_idx on alert (tenant_id, created_at, id);
"""

DELIVERY = """
create table delivery (
  tenant_id uuid not null,
  id uuid not null,
  endpoint_id uuid not null,
  message_id text not null,
  alerts integer not null,
  attempt integer not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  result text,
  status integer,
  reason text,
  constraint delivery_pkey primary key (tenant_id, id),
  constraint delivery_tenant_id_endpoint_id_fkey
    foreign key (tenant_id, endpoint_id) references endpoint (tenant_id, id)
);
create index delivery_tenant_id_started_at_id_idx on delivery (tenant_id, started_at, id);
"""

ENDPOINT_COLUMNS = (
    "removed_at", "lease_until", "delivery_id", "next_post_at", "previous_until",
    "secret_previous", "escalate_after_s", "escalate_to", "window_s", "dispositions",
    "lowest_severity", "families", "agencies", "kind",
)  # fmt: skip
ALERT_COLUMNS = (
    "acknowledged_by", "acknowledged_at", "escalate_at", "delivered_at", "delivery_id",
    "window_until", "escalated", "findings", "severity", "rule", "agency_id",
)  # fmt: skip


def upgrade() -> None:
    """Apply."""
    for part in (ENDPOINT, ALERT, DELIVERY):
        script(part)
    fence("delivery", narrowed=NOTHING, rights="select, insert, update")


def downgrade() -> None:
    """Undo; what only this release can say of an alert (a rule of its own) goes with it."""
    op.execute("drop table delivery")
    op.execute("alter table alert no force row level security")
    op.execute("delete from alert where rule <> '' or escalated")
    op.execute("alter table alert force row level security")
    op.drop_constraint("alert_tenant_id_verdict_id_endpoint_id_rule_escalated_key", "alert")
    for column in ALERT_COLUMNS:
        op.drop_column("alert", column)
    op.create_unique_constraint(
        "alert_tenant_id_verdict_id_endpoint_id_key",
        "alert",
        ["tenant_id", "verdict_id", "endpoint_id"],
    )
    op.execute("drop index if exists alert_waiting_idx, alert_tenant_id_created_at_id_idx")
    op.drop_constraint("endpoint_tenant_id_escalate_to_fkey", "endpoint")
    for column in ENDPOINT_COLUMNS:
        op.drop_column("endpoint", column)
