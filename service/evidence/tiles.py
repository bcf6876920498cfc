"""Proofs over a stored Merkle tree: of the inner nodes only every eighth level is kept.

A full subtree of 256, 65,536, … leaves has its root stored; what lies between is computed from at
most 256 stored hashes, so a proof in a tree of millions reads a few short runs.
"""

from collections.abc import Callable, Iterator, Sequence

from service.evidence.merkle import EMPTY, node_hash

WIDTH_BITS = 8
WIDTH = 1 << WIDTH_BITS
# Gives the hashes [first, last) of a level; level 0 are the leaves, the others multiples of 8.
Fetch = Callable[[int, int, int], Sequence[bytes]]


class StoredTree:
    """The tree over the first `size` leaves of a list whose stored hashes `fetch` reads."""

    def __init__(self, size: int, fetch: Fetch) -> None:
        self.size = size
        self._fetch = fetch
        self._tiles: dict[tuple[int, int], Sequence[bytes]] = {}

    def root(self) -> bytes:
        """Return the root, 32 bytes."""
        return self._subtree(0, self.size) if self.size else EMPTY

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Return the nodes from leaf `index` to the root (RFC 9162 §2.1.3.1), the lowest first.

        Raises `IndexError` where there is no such leaf.
        """
        if not 0 <= index < self.size:
            raise IndexError("there is no such leaf")
        proof: list[bytes] = []
        low, high = 0, self.size
        while high - low > 1:
            split = low + _half(high - low)
            if index < split:
                proof.append(self._subtree(split, high))
                high = split
            else:
                proof.append(self._subtree(low, split))
                low = split
        return proof[::-1]

    def consistency_proof(self, first: int) -> list[bytes]:
        """Return what shows that the tree of `first` leaves begins this one (§2.1.4.1).

        Raises `IndexError` unless 1 ≤ `first` ≤ size.
        """
        if not 1 <= first <= self.size:
            raise IndexError("the earlier tree has 1 to all of the leaves")
        proof: list[bytes] = []
        low, high, is_whole = 0, self.size, True
        while first != high:
            split = low + _half(high - low)
            if first <= split:
                proof.append(self._subtree(split, high))
                high = split
            else:
                proof.append(self._subtree(low, split))
                low, is_whole = split, False
        if not is_whole:
            proof.append(self._subtree(low, high))
        return proof[::-1]

    def _subtree(self, low: int, high: int) -> bytes:
        """The root over [low, high); `low` is a multiple of a power of two that is not smaller."""
        length = high - low
        if length & (length - 1) == 0 and (length.bit_length() - 1) % WIDTH_BITS == 0:
            level = length.bit_length() - 1
            return self._stored(level, low >> level)
        split = low + _half(length)
        return node_hash(self._subtree(low, split), self._subtree(split, high))

    def _stored(self, level: int, position: int) -> bytes:
        tile = position >> WIDTH_BITS
        if (level, tile) not in self._tiles:
            first = tile << WIDTH_BITS
            last = min(first + WIDTH, self.size >> level)
            self._tiles[level, tile] = self._fetch(level, first, last)
        return self._tiles[level, tile][position & (WIDTH - 1)]


def full_nodes(
    before: int, leaves: Sequence[bytes], fetch: Fetch
) -> Iterator[tuple[int, int, bytes]]:
    """Give the nodes to store (level, position, hash) when `leaves` follow `before` others.

    `fetch` reads what was stored before; it is asked only for the open tile of each level.
    """
    level, start, fresh = 0, before, list(leaves)
    while fresh:
        opened = start >> WIDTH_BITS << WIDTH_BITS
        row = [*fetch(level, opened, start), *fresh] if opened < start else fresh
        made = [
            _full(row[place : place + WIDTH]) for place in range(0, len(row) - WIDTH + 1, WIDTH)
        ]
        level, start, fresh = level + WIDTH_BITS, opened >> WIDTH_BITS, made
        for place, found in enumerate(made):
            yield level, start + place, found


def _full(level: Sequence[bytes]) -> bytes:
    """The root of a full subtree, from one level of it."""
    while len(level) > 1:
        level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def _half(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
