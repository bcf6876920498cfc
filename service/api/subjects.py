"""A person's rights over what is held of them; numbers stand in bodies, never in addresses."""

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from service.api.deps import Administrator, TenantSession
from service.clock import now
from service.privacy import debtor

router = APIRouter(prefix="/v1/subjects", tags=["subjects"])
_CaseId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
_WHO: Any = {
    "a number": {"value": {"phone": "+8613800000001"}},
    "a case": {"value": {"case_id": "K-1"}},
}


class SubjectIn(BaseModel):
    """A person: by a telephone number in any usual form, by a case (then its debtor), or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phone: str | None = Field(default=None, max_length=40)
    case_id: _CaseId | None = None

    def subject(self) -> debtor.Subject:
        """The person as the service names them; raises `InvalidInputError`."""
        return debtor.Subject(debtor.read_phone(self.phone) if self.phone else None, self.case_id)


class CorrectionIn(BaseModel):
    """What is to be put right of a case; each field takes the place of what stood there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case_id: _CaseId
    fields: dict[str, Any] = Field(
        description="debtor, contacts, guarantors, balance, overdue_since; of `debtor` only what "
        "is named is replaced.",
        examples=[{"debtor": {"phones": ["+8613800000002"]}}],
    )


Who = Annotated[SubjectIn, Body(openapi_examples=_WHO)]


@router.post("/access", summary="Say what is held of a person")
def post_access(principal: Administrator, session: TenantSession, who: Who) -> dict[str, Any]:
    """Count and date what is held, without the contents: `hegui.subject-access/1`."""
    return debtor.access_subject(
        session,
        tenant_id=principal.tenant_id,
        subject=who.subject(),
        by=principal.key_id,
        now=now(),
    )


@router.post("/export", summary="Hand over what is held of a person")
def post_export(principal: Administrator, session: TenantSession, who: Who) -> dict[str, Any]:
    """Give everything that is held: `hegui.subject-export/1`.

    Of a case in which the person owes nothing only what reached this number is theirs.
    """
    return debtor.export_subject(
        session,
        tenant_id=principal.tenant_id,
        subject=who.subject(),
        by=principal.key_id,
        now=now(),
    )


@router.post("/correction", summary="Put a case right")
def post_correction(
    principal: Administrator, session: TenantSession, wish: CorrectionIn
) -> dict[str, Any]:
    """Add an event that replaces fields of the case, and check it anew; gives the receipt."""
    return debtor.correct_case(
        session,
        tenant_id=principal.tenant_id,
        case_id=wish.case_id,
        fields=wish.fields,
        by=principal.key_id,
        now=now(),
    )


@router.post("/erasure", summary="Erase what is held of a debtor")
def post_erasure(principal: Administrator, session: TenantSession, who: Who) -> dict[str, Any]:
    """Erase and give the receipt; 409 names in `kept` what must stay and until when."""
    return debtor.erase_subject(
        session,
        tenant_id=principal.tenant_id,
        subject=who.subject(),
        by=principal.key_id,
        now=now(),
    )
