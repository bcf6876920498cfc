"""Merkle trees: the published roots, and proofs that hold for what is there and nothing else."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.evidence import merkle

# The test data of Certificate Transparency's reference implementation (google/certificate-
# transparency, cpp/merkletree): eight entries, and the root over the first n of them.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PUBLISHED = [merkle.leaf_hash(entry) for entry in ENTRIES]


def make_leaves(size: int) -> list[bytes]:
    return [merkle.leaf_hash(str(number).encode()) for number in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots_come_out(size: int) -> None:
    assert merkle.root(PUBLISHED[:size]).hex() == ROOTS[size]


def test_the_published_proofs_come_out() -> None:
    # Of the same test data: the path of the sixth of eight, and from six leaves to eight.
    path = [node.hex()[:8] for node in merkle.inclusion_proof(PUBLISHED, 5)]
    growth = [node.hex()[:8] for node in merkle.consistency_proof(PUBLISHED, 6)]

    assert path == ["bc1a0643", "ca854ea1", "d37ee418"]
    assert growth == ["0ebc5d34", "ca854ea1", "d37ee418"]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17])
def test_every_leaf_is_proved_and_only_at_its_own_place(size: int) -> None:
    leaves = make_leaves(size)
    top = merkle.root(leaves)

    for index, leaf in enumerate(leaves):
        proof = merkle.inclusion_proof(leaves, index)
        assert merkle.verify_inclusion(leaf, index, size, proof, top)
        for other in {index - 1, index + 1, size}:
            assert not merkle.verify_inclusion(leaf, other, size, proof, top)
        assert not merkle.verify_inclusion(merkle.leaf_hash(b"x"), index, size, proof, top)
        assert not merkle.verify_inclusion(leaf, index, size, [*proof, top], top)
        assert not proof or not merkle.verify_inclusion(leaf, index, size, proof[:-1], top)


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8, 11, 16])
def test_growth_is_proved_and_a_rewritten_past_is_not(size: int) -> None:
    leaves = make_leaves(size)
    top = merkle.root(leaves)

    for first in range(1, size + 1):
        before = merkle.root(leaves[:first])
        proof = merkle.consistency_proof(leaves, first)
        assert merkle.verify_consistency(first, size, proof, before, top)
        rewritten = merkle.root([merkle.leaf_hash(b"x"), *leaves[1:first]])
        assert not merkle.verify_consistency(first, size, proof, rewritten, top)
        assert not merkle.verify_consistency(first, size, [*proof, top], before, top)


def test_places_that_are_not_there_are_refused() -> None:
    leaves = make_leaves(3)

    for index in (-1, 3):
        with pytest.raises(IndexError):
            merkle.inclusion_proof(leaves, index)
    for first in (0, 4):
        with pytest.raises(IndexError):
            merkle.consistency_proof(leaves, first)
    assert not merkle.verify_consistency(0, 3, [], merkle.EMPTY, merkle.root(leaves))
    assert not merkle.verify_consistency(3, 4, [], merkle.EMPTY, merkle.root(leaves))


def plain_root(entries: list[bytes]) -> bytes:
    """The definition of §2.1.1 word for word."""
    if len(entries) < 2:
        return hashlib.sha256(b"\x00" + entries[0] if entries else b"").digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    halves = plain_root(entries[:split]) + plain_root(entries[split:])
    return hashlib.sha256(b"\x01" + halves).digest()


@given(st.lists(st.binary(max_size=8), max_size=40), st.data())
def test_any_list_has_the_root_of_the_definition(entries: list[bytes], data: st.DataObject) -> None:
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    top = merkle.root(leaves)

    assert top == plain_root(entries)
    if leaves:
        first = data.draw(st.integers(1, len(leaves)))
        proof = merkle.consistency_proof(leaves, first)
        assert proof == proof_by_definition(first, leaves)
        assert merkle.verify_consistency(
            first, len(leaves), proof, merkle.root(leaves[:first]), top
        )


def proof_by_definition(first: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of §2.1.4.1 word for word."""
    if first == len(leaves):
        return [] if whole else [merkle.root(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if first <= split:
        left = proof_by_definition(first, leaves[:split], whole=whole)
        return [*left, merkle.root(leaves[split:])]
    right = proof_by_definition(first - split, leaves[split:], whole=False)
    return [*right, merkle.root(leaves[:split])]
