"""Merkle trees over lists that only grow, hashed as RFC 9162 §2.1 says: roots and their proofs.

Every function takes the hashes of leaves (`leaf_hash`), never the entries. A leaf's hash begins
with another byte than a node's, so that no inner node can pass for an entry.
"""

import hashlib
from collections.abc import Sequence
from hmac import compare_digest

EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of leaves, 32 bytes; of no leaves, the hash of nothing."""
    if not leaves:
        return EMPTY
    level = list(leaves)
    while len(level) > 1:
        paired = [
            node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)
        ]
        # The last of an odd number rises as it is: the tree of RFC 9162 is split at powers of two.
        level = paired + level[len(paired) * 2 :]
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the nodes that lead from leaf `index` to the root, the lowest first (§2.1.3.1).

    Raises `IndexError` where there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError("there is no such leaf")
    proof: list[bytes] = []
    level, place = list(leaves), index
    while len(level) > 1:
        neighbour = place ^ 1
        if neighbour < len(level):
            proof.append(level[neighbour])
        paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
        place >>= 1
    return proof


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Return what shows that the tree of the `first` leaves begins this one (§2.1.4.1).

    Raises `IndexError` unless 1 ≤ `first` ≤ the number of leaves; for all of them it is empty.
    """
    if not 1 <= first <= len(leaves):
        raise IndexError("the earlier tree has 1 to all of the leaves")
    proof: list[bytes] = []
    low, high, is_whole = 0, len(leaves), True
    while first != high:
        # `first` counts from the start of the list; [low, high) is the subtree at hand.
        split = low + _split(high - low)
        if first <= split:
            proof.append(root(leaves[split:high]))
            high = split
        else:
            proof.append(root(leaves[low:split]))
            low, is_whole = split, False
    if not is_whole:
        proof.append(root(leaves[low:high]))
    return proof[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes
) -> bool:
    """Tell whether the leaf is number `index` of the `size` under this root (§2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for node in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(node, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, node)
        place, last = place >> 1, last >> 1
    return last == 0 and compare_digest(found, expected)


def verify_consistency(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    """Tell whether the tree of `second` leaves begins with that of `first` (§2.1.4.2)."""
    if not 1 <= first <= second:
        return False
    if first == second:
        return not proof and compare_digest(first_root, second_root)
    nodes = list(proof)
    if first & (first - 1) == 0:
        nodes.insert(0, first_root)
    if not nodes:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, node)
        place, last = place >> 1, last >> 1
    return last == 0 and compare_digest(old, first_root) and compare_digest(new, second_root)


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
