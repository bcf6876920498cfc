"""Operations of `webhooks`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.webhooks import ReceiptOut, ReceiptStateOut


class WebhooksGroup(Group):
    """Operations of `webhooks`."""

    def post_event(self, agency_id: str, body: Mapping[str, Any]) -> ReceiptOut:
        """Post one signed event."""
        return self._typed(ReceiptOut, "POST", f"/v1/webhooks/{agency_id}", body=body)

    def get_receipt(self, receipt: UUID) -> ReceiptStateOut:
        """Return a receipt and the state of the interaction that its event is about."""
        return self._typed(ReceiptStateOut, "GET", f"/v1/receipts/{receipt}")
