"""Operations of `samples`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hegui.client.group import Group
from service.api.samples import SampleIn, SampleList, SampleOut, SeedIn


class SamplesGroup(Group):
    """Operations of `samples`."""

    def post_sample(self, body: SampleIn | Mapping[str, Any]) -> SampleOut:
        """Open a sample."""
        return self._typed(SampleOut, "POST", "/v1/samples", body=body)

    def list_samples(self) -> SampleList:
        """List samples: a lender's all, a regulator's those of the grant it reads under."""
        return self._typed(SampleList, "GET", "/v1/samples")

    def get_sample(self, sample: UUID) -> SampleOut:
        """Show a sample as far as it has come: opened, committed, drawn."""
        return self._typed(SampleOut, "GET", f"/v1/samples/{sample}")

    def get_population(self, sample: UUID) -> bytes:
        """Give the lines that the root was made from: ids, strata and weights, no personal data."""
        return self._bytes("GET", f"/v1/samples/{sample}/population")

    def post_commit(self, sample: UUID) -> SampleOut:
        """Fix the list of all contacts that the grant covers, as they stand now; it stays."""
        return self._typed(SampleOut, "POST", f"/v1/samples/{sample}/commit")

    def post_reveal(self, sample: UUID, body: SeedIn | Mapping[str, Any]) -> SampleOut:
        """Reveal the promised seed: the sample is drawn from the committed population."""
        return self._typed(SampleOut, "POST", f"/v1/samples/{sample}/reveal", body=body)
