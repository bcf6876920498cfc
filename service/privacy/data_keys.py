"""Keys of tenants over time: new ones, sealing anew what old ones sealed, a new master key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col, select

from service.audit import add_entry
from service.clock import now
from service.models import EventRow
from service.privacy import sealing
from service.privacy.master_key import unwrap, wrap
from service.privacy.models import DataKey, KeyPurpose
from service.privacy.resealing import used_keys

BATCH = 500
_RESEAL = text(
    "update event set sealed = :sealed"
    " where tenant_id = :tenant and id = :id and sealed = :before and erased_at is null"
)
_USED = text("select distinct substring(sealed from 2 for 16) from event where sealed is not null")


@dataclass(frozen=True, slots=True)
class Resealed:
    """One batch: how many events were sealed anew, and where the next batch begins."""

    count: int
    after: UUID | None


def list_keys(session: Session) -> Sequence[DataKey]:
    """The tenant's keys, the oldest first."""
    return session.exec(select(DataKey).order_by(col(DataKey.created_at), col(DataKey.id))).all()


def rotate_key(session: Session, *, tenant_id: UUID, by: str) -> UUID:
    """Make a new key for sealing; the one before stays to open what it sealed.

    Other processes begin to use it within a minute. The key of look-ups stays: it seals nothing.
    """
    moment = now()
    for row in session.exec(
        select(DataKey)
        .where(DataKey.purpose == KeyPurpose.SEAL.value, col(DataKey.retired_at).is_(None))
        .with_for_update()
    ):
        row.retired_at = moment
    session.flush()
    made = DataKey(**sealing.new_key(tenant_id, KeyPurpose.SEAL))
    session.add(made)
    add_entry(
        session, tenant_id=tenant_id, actor=by, action="data_key_rotated", subject_id=str(made.id)
    )
    return made.id


def reseal(session: Session, *, tenant_id: UUID, after: UUID | None = None) -> Resealed:
    """Seal one batch of events under the current key; run it until `after` is None.

    An event that is sealed anew or erased meanwhile by somebody else is left as it then is.
    """
    current = sealing.load_keys(tenant_id).current
    query = select(EventRow).where(col(EventRow.sealed).is_not(None))
    if after is not None:
        query = query.where(col(EventRow.id) > after)
    rows = session.exec(query.order_by(col(EventRow.id)).limit(BATCH)).all()
    count = 0
    for row in rows:
        assert row.sealed is not None
        if sealing.key_of(row.sealed) == current:
            continue
        about = sealing.about_event(tenant_id, row.agency_id, row.message_id)
        plain = sealing.unseal(tenant_id, row.sealed, about)
        values = {"sealed": sealing.seal(tenant_id, plain, about), "before": row.sealed}
        found = session.connection().execute(_RESEAL, {**values, "tenant": tenant_id, "id": row.id})
        count += found.rowcount
    return Resealed(count, rows[-1].id if len(rows) == BATCH else None)


def drop_unused(session: Session, *, tenant_id: UUID, before: datetime, by: str) -> int:
    """Delete the tenant's retired keys with which nothing is sealed any more; gives how many.

    Only those retired before a moment: another process may still use a younger one.
    """
    used = {UUID(bytes=bytes(key)) for (key,) in session.connection().execute(_USED)}
    used |= used_keys(session, tenant_id)
    retired = session.exec(
        select(DataKey).where(col(DataKey.retired_at) < before, col(DataKey.id).not_in(used))
    ).all()
    for row in retired:
        session.delete(row)
        add_entry(
            session,
            tenant_id=tenant_id,
            actor=by,
            action="data_key_dropped",
            subject_id=str(row.id),
        )
    return len(retired)


def rewrap(session: Session, *, tenant_id: UUID) -> int:
    """Wrap the tenant's keys under the master key in use; gives how many were under another."""
    count = 0
    for row in list_keys(session):
        about = sealing.about_key(tenant_id, row.id, row.purpose)
        master, wrapped = wrap(unwrap(row.wrapped, about, master=row.master), about)
        if master != row.master:
            row.master, row.wrapped = master, wrapped
            count += 1
    return count
