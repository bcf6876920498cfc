"""The draw of a sample: from a committed population and a revealed seed, the same for everybody.

Pure: what is drawn follows from the published lines alone. `tools/redraw.py` does the same with
its own code; docs/access.md has the method in words.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rules.model import Severity
from service.access.models import SampleMethod
from service.evidence import merkle

SCHEMA = "hegui.sample/1"
# How much likelier a contact with such a finding is drawn than one without any.
WEIGHTS = {None: 1, Severity.LOW: 2, Severity.MEDIUM: 4, Severity.HIGH: 8, Severity.CRITICAL: 16}
PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Member:
    """One contact of a population: its id, the strata it lies in, its weight."""

    id: str
    agency: str
    outcome: str
    weight: int


def write_line(member: Member) -> str:
    """Return the member's line: JSON with sorted keys, no spaces, no line end."""
    values = {
        "agency": member.agency,
        "id": member.id,
        "outcome": member.outcome,
        "weight": member.weight,
    }
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def write_population(members: Iterable[Member]) -> str:
    """Return the population: one line a member, in the order of the ids."""
    ordered = sorted(members, key=lambda member: member.id)
    return "".join(write_line(member) + "\n" for member in ordered)


def read_population(population: str) -> list[Member]:
    """Read a population that `write_population` wrote."""
    return [Member(**json.loads(line)) for line in population.splitlines()]


def root_of(population: str) -> str:
    """Return the Merkle root over the lines, hex: the leaves are the lines without their ends."""
    lines = population.splitlines()
    return merkle.root([merkle.leaf_hash(line.encode()) for line in lines]).hex()


def draw(
    method: SampleMethod, size: int, *, seed: str, root: str, members: Sequence[Member]
) -> list[str]:
    """Return the ids drawn, in the order of their tickets; all of a population that is smaller."""
    if method is SampleMethod.STRATIFIED:
        return _stratified(size, seed, root, members)
    is_weighted = method is SampleMethod.RISK_WEIGHTED
    return _lowest(size, seed, root, members, is_weighted=is_weighted)


def _ticket(seed: str, root: str, member: Member, number: int) -> bytes:
    text = f"{SCHEMA}\n{seed}\n{root}\n{member.id}\n{number}"
    return hashlib.sha256(text.encode()).digest()


def _lowest(
    size: int, seed: str, root: str, members: Iterable[Member], *, is_weighted: bool
) -> list[str]:
    """The members with the lowest tickets; one of weight w holds w tickets and counts its lowest.

    The least of w independent tickets is distributed as the keys of Efraimidis and Spirakis (2006),
    so this is their weighted sampling without replacement, in whole numbers.
    """
    ranked = sorted(
        (
            min(
                _ticket(seed, root, member, number)
                for number in range(member.weight if is_weighted else 1)
            ),
            member.id,
        )
        for member in members
    )
    return [name for _, name in ranked[:size]]


def _stratified(size: int, seed: str, root: str, members: Iterable[Member]) -> list[str]:
    """Draw from each stratum of agency and outcome its share, and put the shares in one order."""
    strata: dict[tuple[str, str], list[Member]] = defaultdict(list)
    for member in members:
        strata[member.agency, member.outcome].append(member)
    names = sorted(strata)
    shares = allocate(size, [len(strata[name]) for name in names])
    chosen = {
        found
        for name, share in zip(names, shares, strict=True)
        for found in _lowest(share, seed, root, strata[name], is_weighted=False)
    }
    rest = [member for name in names for member in strata[name] if member.id in chosen]
    return _lowest(len(rest), seed, root, rest, is_weighted=False)


def allocate(size: int, counts: Sequence[int]) -> list[int]:
    """Share a sample out over strata of these sizes, none of them empty.

    Each gets one where there are enough; what is left goes in proportion to what each has left,
    by the largest remainder, the earlier stratum first where remainders are equal.
    """
    if size >= sum(counts):
        return list(counts)
    floor = 1 if size >= len(counts) else 0
    left, places = [count - floor for count in counts], size - floor * len(counts)
    total = sum(left)
    shares = [places * count // total for count in left]
    remainders = [places * count % total for count in left]
    order = sorted(range(len(counts)), key=lambda place: (-remainders[place], place))
    for place in order[: places - sum(shares)]:
        shares[place] += 1
    return [floor + share for share in shares]
