"""Operations of `parameters`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any

from hegui.client.group import Group
from service.api.parameters import ParametersIn, ParametersOut


class ParametersGroup(Group):
    """Operations of `parameters`."""

    def get_parameters(self) -> ParametersOut:
        """List every parameter of every rule with its bounds and the lender's value."""
        return self._typed(ParametersOut, "GET", "/v1/parameters")

    def put_parameters(self, body: ParametersIn | Mapping[str, Any]) -> ParametersOut:
        """Set parameters."""
        return self._typed(ParametersOut, "PUT", "/v1/parameters", body=body)
