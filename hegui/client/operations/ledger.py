"""Operations of `ledger`; written by hegui.client_generator, do not edit."""

from uuid import UUID

from hegui.client.group import Group
from service.api.ledger import ConsistencyOut, EntryPage, InclusionOut, KeyList


class LedgerGroup(Group):
    """Operations of `ledger`."""

    def get_checkpoint(self, *, size: int | None = None) -> bytes:
        """Give the newest signed head of the ledger, or the one of a size, as a note."""
        return self._bytes("GET", "/v1/ledger/checkpoint", query={"size": size})

    def list_entries(
        self, *, after: int | None = None, kind: str | None = None, limit: int | None = None
    ) -> EntryPage:
        """List the entries in the ledger's order, with what opens each."""
        return self._typed(
            EntryPage,
            "GET",
            "/v1/ledger/entries",
            query={"after": after, "kind": kind, "limit": limit},
        )

    def get_inclusion(self, *, seq: int, size: int | None = None) -> InclusionOut:
        """Prove one entry against a signed head; an agency asks by its receipts instead."""
        return self._typed(
            InclusionOut, "GET", "/v1/ledger/proof/inclusion", query={"seq": seq, "size": size}
        )

    def get_receipt_proof(self, receipt: UUID) -> InclusionOut:
        """Prove that an event is in the ledger."""
        return self._typed(InclusionOut, "GET", f"/v1/ledger/proof/receipts/{receipt}")

    def get_consistency(self, *, since: int, to: int | None = None) -> ConsistencyOut:
        """Prove that an earlier head's entries begin a later one's."""
        return self._typed(
            ConsistencyOut, "GET", "/v1/ledger/proof/consistency", query={"from": since, "to": to}
        )

    def get_key(self) -> KeyList:
        """Give the public keys that sign this ledger's heads, bundles and reports, newest first."""
        return self._typed(KeyList, "GET", "/v1/ledger/key")
