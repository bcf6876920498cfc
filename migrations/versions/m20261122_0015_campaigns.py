"""Checks that sum up a campaign and an upload; reviews by people, not by keys."""

from alembic import op

from migrations.fence import BY_COLUMN, fence, script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = """
create table upload_manifest (
  tenant_id uuid not null,
  id uuid not null,
  agency_id uuid not null,
  name text not null,
  campaign text,
  sha256 text not null,
  rows integer not null,
  due_at timestamptz not null,
  received_at timestamptz not null,
  received_by text not null,
  primary key (tenant_id, id),
  unique (tenant_id, agency_id, name, sha256),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
create index upload_manifest_tenant_id_received_at_id_idx
  on upload_manifest (tenant_id, received_at, id);
create index upload_manifest_tenant_id_campaign_idx on upload_manifest (tenant_id, campaign);
create table upload_manifest_row (
  tenant_id uuid not null,
  manifest_id uuid not null,
  interaction_id text not null,
  agency_id uuid not null,
  primary key (tenant_id, manifest_id, interaction_id),
  foreign key (tenant_id, manifest_id) references upload_manifest (tenant_id, id),
  foreign key (tenant_id, agency_id) references agency (tenant_id, id)
);
"""

# A contact belongs to the campaign that the event describing it names; few events name one.
CAMPAIGN = """
create index event_campaign_idx on event (tenant_id, (body #>> '{data,campaign}'))
  where body #>> '{data,campaign}' is not null;
"""

# Until now a decision named the key it was made with. Keys that came from one another by rotation
# are one person, named by the first of them.
PEOPLE = """
alter table review no force row level security;
alter table review_reading no force row level security;
alter table review_item no force row level security;
create temporary table first_key on commit drop as
  select k.key_id, f.key_id as first from api_key as k join api_key as f on f.id = k.root_id
  where k.id <> k.root_id;
update review as r set decided_by = f.first from first_key as f where f.key_id = r.decided_by;
update review_reading as r set read_by = f.first from first_key as f where f.key_id = r.read_by;
update review_item as i set held_by = f.first from first_key as f where f.key_id = i.held_by;
update review_item as i set assigned_to = f.first from first_key as f
  where f.key_id = i.assigned_to;
drop table first_key;
alter table review force row level security;
alter table review_reading force row level security;
alter table review_item force row level security;
"""


def upgrade() -> None:
    """Apply."""
    script(TABLES)
    script(CAMPAIGN)
    script(PEOPLE)
    fence("upload_manifest", narrowed=BY_COLUMN, rights="select, insert")
    fence("upload_manifest_row", narrowed=BY_COLUMN, rights="select, insert")


def downgrade() -> None:
    """Undo."""
    op.execute("drop index event_campaign_idx")
    op.execute("drop table upload_manifest_row")
    op.execute("drop table upload_manifest")
