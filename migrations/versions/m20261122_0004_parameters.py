"""A lender's own values for the parameters of rules."""

from alembic import op

from migrations.fence import fence, script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    script("""
create table parameter_set (
  tenant_id uuid not null,
  revision integer not null,
  "values" jsonb not null,
  set_at timestamptz not null,
  set_by text not null,
  constraint parameter_set_pkey primary key (tenant_id, revision),
  constraint parameter_set_tenant_id_fkey foreign key (tenant_id) references tenant (id)
);
alter table verdict add column parameters_revision integer not null default 0;
""")
    fence("parameter_set", narrowed=None, rights="select, insert")


def downgrade() -> None:
    op.drop_column("verdict", "parameters_revision")
    op.drop_table("parameter_set")
