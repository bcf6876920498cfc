"""Every proof of every tree up to a size, made from the definition and checked by the product.

Up to 512 leaves; HYPOTHESIS_PROFILE=long goes to 2,048, as issue 6 asks of a long run.
"""

import os
from functools import cache

from service.evidence import merkle
from service.evidence.tiles import StoredTree

LIMIT = 2_048 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 512
LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(LIMIT)]


def split_of(size: int) -> int:
    """The largest power of two below `size` (RFC 9162 §2.1.1)."""
    return 1 << (size - 1).bit_length() - 1


@cache
def subtree(low: int, high: int) -> bytes:
    """MTH of the leaves [low, high)."""
    if high - low == 1:
        return LEAVES[low]
    middle = low + split_of(high - low)
    return merkle.node_hash(subtree(low, middle), subtree(middle, high))


def path(index: int, low: int, high: int) -> list[bytes]:
    """PATH of §2.1.3.1."""
    if high - low == 1:
        return []
    middle = low + split_of(high - low)
    if index < middle:
        return [*path(index, low, middle), subtree(middle, high)]
    return [*path(index, middle, high), subtree(low, middle)]


def subproof(first: int, low: int, high: int, *, is_whole: bool) -> list[bytes]:
    """SUBPROOF of §2.1.4.1, for the first `first` leaves of the whole list."""
    if first == high:
        return [] if is_whole else [subtree(low, high)]
    middle = low + split_of(high - low)
    if first <= middle:
        return [*subproof(first, low, middle, is_whole=is_whole), subtree(middle, high)]
    return [*subproof(first, middle, high, is_whole=False), subtree(low, middle)]


def fetch(level: int, first: int, last: int) -> list[bytes]:
    return [subtree(place << level, (place + 1) << level) for place in range(first, last)]


def test_every_inclusion_proof_holds() -> None:
    for size in range(1, LIMIT + 1):
        root = subtree(0, size)
        for index in range(size):
            proof = path(index, 0, size)
            assert merkle.verify_inclusion(LEAVES[index], index, size, proof, root)


def test_every_consistency_proof_holds() -> None:
    for second in range(1, LIMIT + 1):
        root = subtree(0, second)
        for first in range(1, second + 1):
            proof = subproof(first, 0, second, is_whole=True)
            assert merkle.verify_consistency(first, second, proof, subtree(0, first), root)


def test_the_stored_tree_makes_the_proofs_of_the_definition() -> None:
    for size in range(1, LIMIT + 1, 7):
        tree = StoredTree(size, fetch)
        assert tree.root() == subtree(0, size)
        for place in range(0, size, 11):
            assert tree.inclusion_proof(place) == path(place, 0, size)
            proof = subproof(place + 1, 0, size, is_whole=True)
            assert tree.consistency_proof(place + 1) == proof
