"""A typed client of hegui's API: `HeguiClient(url, key)`, one method for every operation."""

from hegui.client.client import HeguiClient, pages
from hegui.transport import ApiError, UnreachableError

__all__ = ["ApiError", "HeguiClient", "UnreachableError", "pages"]
