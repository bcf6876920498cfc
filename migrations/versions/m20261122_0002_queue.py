"""The queue: procrastinate's schema, and our way to enqueue one job a subject."""

from alembic import op

from migrations import queue_schema
from migrations.fence import APP, script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# While the same job still waits there is one of it, and the earlier time wins. Arguments are ids.
ENQUEUE = """
create function hegui_enqueue(
  p_job text, p_queue text, p_tenant uuid, p_subject uuid, p_at timestamptz
) returns void language plpgsql as $$
begin
  insert into procrastinate_jobs (queue_name, task_name, queueing_lock, args, scheduled_at)
    values (p_queue, p_job, p_job || ':' || p_subject,
            jsonb_build_object('tenant_id', p_tenant, 'subject_id', p_subject), p_at)
    on conflict (queueing_lock) where status = 'todo' do nothing;
  if not found then
    update procrastinate_jobs as held set scheduled_at = p_at
      where held.queueing_lock = p_job || ':' || p_subject and held.status = 'todo'
        and held.scheduled_at is not null
        and (p_at is null or p_at < held.scheduled_at);
  end if;
end $$;
"""


def upgrade() -> None:
    """Apply."""
    queue_schema.bring_up_to_date()
    script(ENQUEUE)
    script(
        f"""
        grant select, insert, update, delete on procrastinate_jobs, procrastinate_events,
          procrastinate_workers, procrastinate_periodic_defers to {APP};
        grant usage on all sequences in schema public to {APP};
        revoke execute on all functions in schema public from public;
        grant execute on all functions in schema public to {APP};
        """
    )


def downgrade() -> None:
    """Undo."""
    op.execute("drop function hegui_enqueue(text, text, uuid, uuid, timestamptz)")
    queue_schema.remove()
