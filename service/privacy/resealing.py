"""Seals single fields under the current key: what an old key sealed, and what lay in the clear."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from service.privacy import sealing
from service.privacy.sealed_fields import FIELDS, MARK, open_text, seal_text
from service.privacy.sealed_words import seal_old_words

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a table whose key is the tenant and `key`; texts are sealed with a mark."""

    table: str
    key: tuple[str, ...]
    column: str
    is_text: bool = True

    @property
    def key_id(self) -> str:
        """SQL: the id of the data key that sealed the field, NULL where it lies in the clear."""
        if not self.is_text:
            return f"substring({self.column} from 2 for 16)"
        # 24 signs of base64 are the form, the id and one byte more.
        start = f"decode(substring({self.column} from {len(MARK) + 1} for 24), 'base64')"
        return f"case when {self.column} like '{MARK}%' then substring({start} from 2 for 16) end"


SEALED_FIELDS = (
    Field("recording_key", ("sha256", "id"), "sealed", is_text=False),
    Field("oidc_provider", (), "client_secret", is_text=False),
    Field("transcript", ("interaction_id",), "sealed_segments", is_text=False),
    Field("transcript", ("interaction_id",), "sealed_words", is_text=False),
    Field("transcript_piece", ("interaction_id", "position"), "sealed", is_text=False),
    *(Field(table, key, column) for table, key, columns in FIELDS for column in columns),
)


def used_keys(session: Session, tenant_id: UUID) -> set[UUID]:
    """The data keys that some field of the tenant is sealed with."""
    found = session.connection().execute(
        text(
            " union ".join(
                f"select {field.key_id} from {field.table} where tenant_id = :tenant"  # noqa: S608  fixed words
                for field in SEALED_FIELDS
            )
        ),
        {"tenant": tenant_id},
    )
    return {UUID(bytes=bytes(key)) for key in found.scalars() if key is not None}


def reseal_fields(session: Session, *, tenant_id: UUID) -> int:
    """Seal one batch of fields under the current key; run it until it gives 0.

    A field that somebody changes meanwhile is left as it then is.
    """
    current = sealing.load_keys(tenant_id).current
    for field in SEALED_FIELDS:
        count = _reseal(session, field, tenant_id, current)
        if count:
            return count
    return seal_old_words(session, tenant_id=tenant_id)


def _reseal(session: Session, field: Field, tenant_id: UUID, current: UUID) -> int:
    column, names = field.column, ", ".join((*field.key, field.column))
    is_there = f"and {column} <> ''" if field.is_text else f"and {column} is not null"
    stale = text(
        f"select {names} from {field.table} where tenant_id = :tenant"  # noqa: S608  fixed words
        f" {is_there} and {field.key_id} is distinct from :key limit {_BATCH}"
    )
    wanted = "".join(f"{name} = :{name} and " for name in field.key)
    renew = text(
        f"update {field.table} set {column} = :after_ where tenant_id = :tenant"  # noqa: S608  fixed words
        f" and {wanted} {column} = :before_"
    )
    run, count = session.connection().execute, 0
    for *key, before in run(stale, {"tenant": tenant_id, "key": current.bytes}).all():
        place = tenant_id, field.table, "|".join(map(str, key)), column
        after: str | bytes
        if field.is_text:
            after = seal_text(*place, open_text(*place, before))
        else:
            about = sealing.about_field(*place)
            after = sealing.seal(tenant_id, sealing.unseal(tenant_id, before, about), about)
        values = {"tenant": tenant_id, "before_": before, "after_": after}
        count += run(renew, {**values, **dict(zip(field.key, key, strict=True))}).rowcount
    return count
