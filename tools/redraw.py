#!/usr/bin/env python3
"""Draws a published sample again, offline: python3 redraw.py SAMPLE.json POPULATION.

SAMPLE.json is the answer of `GET /v1/samples/{id}`, POPULATION the bytes of
`GET /v1/samples/{id}/population`. Needs Python 3.9 or later and nothing else: no hegui, no network.
It shares no code with the service, so that one error cannot hide in both. Ends with 0 where the
published draw is the one that follows from population and seed, with 1 where it is not, with 2
where a file cannot be read.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WEIGHED, STRATA, EVEN = "risk_weighted", "stratified", "simple"


def hashed(*parts: bytes) -> bytes:
    """SHA-256 of the parts, one after the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def merkle_root(entries: list[bytes]) -> bytes:
    """Return the root of RFC 9162, section 2.1.1, straight from its definition."""
    if len(entries) == 0:
        return hashed()
    if len(entries) == 1:
        return hashed(b"\x00", entries[0])
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return hashed(b"\x01", merkle_root(entries[:split]), merkle_root(entries[split:]))


def lowest_ticket(sample: dict[str, Any], contact: dict[str, Any]) -> bytes:
    """Return a contact's rank: the lowest of its tickets; one, or as many as it weighs."""
    count = contact["weight"] if sample["method"] == WEIGHED else 1
    stem = "\n".join(["hegui.sample/1", sample["seed"], sample["root"], contact["id"], ""])
    return min(hashed((stem + str(number)).encode()) for number in range(count))


def places_of(size: int, counts: list[int]) -> list[int]:
    """Share places out: one a stratum where possible, the rest by the largest remainder."""
    if size >= sum(counts):
        return list(counts)
    first = 1 if size >= len(counts) else 0
    rest = size - first * len(counts)
    open_ = [count - first for count in counts]
    exact = [divmod(rest * count, sum(open_)) for count in open_]
    places = [first + whole for whole, _ in exact]
    by_remainder = sorted(range(len(counts)), key=lambda n: (-exact[n][1], n))
    for n in by_remainder[: size - sum(places)]:
        places[n] += 1
    return places


def redraw(sample: dict[str, Any], contacts: list[dict[str, Any]]) -> list[str]:
    """Return the ids that the method draws, lowest ticket first."""
    ranked = sorted(contacts, key=lambda contact: (lowest_ticket(sample, contact), contact["id"]))
    if sample["method"] in (EVEN, WEIGHED):
        return [contact["id"] for contact in ranked[: sample["size"]]]
    sizes: dict[tuple[str, str], int] = {}
    for contact in contacts:
        stratum = (contact["agency"], contact["outcome"])
        sizes[stratum] = sizes.get(stratum, 0) + 1
    strata = sorted(sizes)
    places = places_of(sample["size"], [sizes[name] for name in strata])
    free = {name: places[n] for n, name in enumerate(strata)}
    drawn = []
    for contact in ranked:
        stratum = (contact["agency"], contact["outcome"])
        if free[stratum] > 0:
            free[stratum] -= 1
            drawn.append(contact["id"])
    return drawn


def faults(sample: dict[str, Any], population: bytes) -> Iterator[str]:
    """Say what does not hold; nothing where the draw is genuine."""
    lines = population.split(b"\n")
    if lines.pop() != b"":
        yield "the population does not end with a line end"
    contacts = [json.loads(line) for line in lines]
    ids = [contact["id"] for contact in contacts]
    if ids != sorted(set(ids)):
        yield "the population is not sorted, or names a contact twice"
    if len(ids) != sample["population_size"]:
        yield "the population has another size than the sample says"
    if merkle_root(lines).hex() != sample["root"]:
        yield "the population is not the committed one: its root differs"
    if sample["seed"] is None:
        yield "the seed is not revealed yet"
        return
    if hashlib.sha256(bytes.fromhex(sample["seed"])).hexdigest() != sample["seed_sha256"]:
        yield "the seed is not the promised one"
    if not sample["opened_at"] <= sample["committed_at"] <= sample["revealed_at"]:
        yield "the seed was not promised before and revealed after the commitment"
    if redraw(sample, contacts) != sample["drawn"]:
        yield "another sample follows from population and seed"


def read(sample_name: str, population_name: str) -> tuple[dict[str, Any], bytes]:
    """Read both files; raises `ValueError` for a sample of another kind."""
    sample = json.loads(Path(sample_name).read_text(encoding="utf-8"))
    if sample["schema"] != "hegui.sample/1" or sample["method"] not in (EVEN, WEIGHED, STRATA):
        raise ValueError("not a sample of a kind that this script knows")
    return sample, Path(population_name).read_bytes()


def main(arguments: list[str]) -> int:
    """Read both files and say what holds."""
    try:
        sample, population = read(*arguments)
        found = list(faults(sample, population))
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"refused: {error}\n")
        return 2
    for fault in found:
        sys.stdout.write(f"not genuine: {fault}\n")
    if not found:
        drawn, size = len(sample["drawn"]), sample["population_size"]
        sys.stdout.write(f"genuine: {drawn} of {size} contacts\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
