"""What the finders of personal data give: a stretch of a text and what it is."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a stretch of personal data is."""

    NAME = "name"
    PHONE = "phone"
    IDENTITY_NUMBER = "identity_number"
    BANK_CARD = "bank_card"
    ADDRESS = "address"
    EMAIL = "email"
    ACCOUNT = "account"
    PLATE = "plate"


@dataclass(frozen=True, slots=True)
class Personal:
    """A stretch of a text that names or reaches a person: characters `start` to before `end`."""

    start: int
    end: int
    kind: Kind
