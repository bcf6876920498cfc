"""Operations of `agencies`; written by hegui.client_generator, do not edit."""

from hegui.client.group import Group
from service.api.shapes import AgencyList


class AgenciesGroup(Group):
    """Operations of `agencies`."""

    def list_agencies(self) -> AgencyList:
        """List the agencies that the caller can see: a lender all of its own, an agency itself."""
        return self._typed(AgencyList, "GET", "/v1/agencies")
