"""The yearly evaluation of an agency as a signed PDF/A-3 with its data attached."""

from datetime import datetime
from typing import Any
from uuid import UUID

from service.evidence.checkpoint import Signer, origin_of
from service.evidence.pdf_seal import seal_pdf
from service.evidence.report_pdf import render

MEDIA_TYPE = "application/pdf"


def to_pdf(document: dict[str, Any], *, signer: Signer) -> bytes:
    """Set the document in Chinese and English and sign it; `hegui verify` checks the signature."""
    made_at = datetime.fromisoformat(document["generated_at"])
    pdf = render("evaluation", document, now=made_at)
    return seal_pdf(pdf, signer, origin_of(UUID(document["tenant"]["id"])))
