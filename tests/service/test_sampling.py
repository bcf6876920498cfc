"""A draw follows from population and seed alone, and another program draws the same."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.models import SampleMethod
from service.access.sampling_draw import (
    SCHEMA,
    Member,
    allocate,
    draw,
    read_population,
    root_of,
    write_population,
)
from tools import redraw

SEED = "5a" * 32
MEMBERS = st.lists(
    st.builds(
        Member,
        id=st.uuids().map(str),
        agency=st.sampled_from([str(UUID(int=1)), str(UUID(int=2)), str(UUID(int=3))]),
        outcome=st.sampled_from(["pass", "fail", "review", "pending"]),
        weight=st.sampled_from([1, 2, 4, 8, 16]),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda member: member.id,
)


def make_members(count: int) -> list[Member]:
    return [
        Member(str(UUID(int=n)), str(UUID(int=n % 2)), "fail" if n % 10 == 0 else "pass", 1)
        for n in range(count)
    ]


def make_document(method: SampleMethod, size: int, members: list[Member]) -> dict[str, Any]:
    population = write_population(members)
    root = root_of(population)
    return {
        "schema": SCHEMA,
        "method": method.value,
        "size": size,
        "seed": SEED,
        "seed_sha256": redraw.hashed(bytes.fromhex(SEED)).hex(),
        "opened_at": "2026-01-01T00:00:00+00:00",
        "committed_at": "2026-01-02T00:00:00+00:00",
        "revealed_at": "2026-01-03T00:00:00+00:00",
        "population_size": len(members),
        "root": root,
        "drawn": draw(method, size, seed=SEED, root=root, members=read_population(population)),
    }


@given(MEMBERS, st.sampled_from(SampleMethod), st.integers(1, 50))
def test_the_stand_alone_script_draws_the_same(
    members: list[Member], method: SampleMethod, size: int
) -> None:
    document = make_document(method, size, members)

    assert list(redraw.faults(document, write_population(members).encode())) == []
    assert len(document["drawn"]) == min(size, len(members))
    assert len(set(document["drawn"])) == len(document["drawn"])


@given(st.integers(1, 60), st.lists(st.integers(1, 30), min_size=1, max_size=12))
def test_places_are_shared_out_in_proportion(size: int, counts: list[int]) -> None:
    shares = allocate(size, counts)

    assert sum(shares) == min(size, sum(counts))
    assert all(0 <= share <= count for share, count in zip(shares, counts, strict=True))
    if size >= len(counts):
        assert min(shares) >= 1


def test_a_stratified_draw_takes_its_share_of_each_stratum() -> None:
    members = make_members(100)
    by_id = {member.id: member for member in members}

    drawn = make_document(SampleMethod.STRATIFIED, 20, members)["drawn"]

    assert Counter(by_id[name].outcome for name in drawn) == {"pass": 18, "fail": 2}
    assert Counter(by_id[name].agency for name in drawn)[str(UUID(int=0))] == 10


def test_chances_are_as_the_method_says() -> None:
    # 3,000 seeds over five contacts; a share's standard error is below 0.01.
    weights = (1, 1, 2, 4, 8)
    members = [Member(str(UUID(int=n)), "a", "pass", w) for n, w in enumerate(weights)]
    even: Counter[str] = Counter()
    weighed: Counter[str] = Counter()

    for n in range(3000):
        seed = f"{n:064x}"
        even.update(draw(SampleMethod.SIMPLE, 1, seed=seed, root="", members=members))
        weighed.update(draw(SampleMethod.RISK_WEIGHTED, 1, seed=seed, root="", members=members))

    for member, weight in zip(members, weights, strict=True):
        assert even[member.id] / 3000 == pytest.approx(1 / 5, abs=0.04)
        assert weighed[member.id] / 3000 == pytest.approx(weight / 16, abs=0.04)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": "00" * 32}, "promised"),
        ({"root": "00" * 32}, "committed"),
        ({"size": 3}, "another sample"),
        ({"method": "simple"}, "another sample"),
        ({"population_size": 99}, "size"),
        ({"seed": None}, "not revealed"),
        ({"committed_at": "2026-01-04T00:00:00+00:00"}, "before"),
        ({"schema": "x"}, "refused"),
    ],
)
def test_the_script_names_what_was_changed(
    tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    members = make_members(50)
    document = make_document(SampleMethod.STRATIFIED, 8, members)
    (tmp_path / "population").write_text(write_population(members), "utf-8")

    def run(held: dict[str, Any]) -> Any:
        (tmp_path / "sample.json").write_text(json.dumps(held), "utf-8")
        command = [sys.executable, "-I", redraw.__file__, "sample.json", "population"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    changed = run({**document, **change})

    assert changed.returncode == (2 if word == "refused" else 1), changed.stdout
    assert word in changed.stdout + changed.stderr


def test_the_script_calls_a_true_draw_genuine(tmp_path: Path) -> None:
    members = make_members(50)
    population = write_population(members).encode()
    sample, lines = tmp_path / "sample.json", tmp_path / "population"
    sample.write_text(json.dumps(make_document(SampleMethod.SIMPLE, 5, members)), "utf-8")
    lines.write_bytes(population)

    assert redraw.main([str(sample), str(lines)]) == 0
    lines.write_bytes(population.replace(b'"weight":1', b'"weight":2', 1))
    assert redraw.main([str(sample), str(lines)]) == 1
    assert redraw.main([str(sample)]) == 2
