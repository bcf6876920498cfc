"""Settle from where on a family is suggested or doubted, by texts that nothing was fitted to.

Each corpus is read by what was learned without it, and so is each part of everything else.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from hegui.evaluation.corpus import Corpus
from hegui.evaluation.run import report_findings
from hegui.reading.examples import Example
from hegui.reading.learn import Labels, Sheet
from rules import Pack, evaluate
from rules.fixture import build
from rules.model import Disposition, Finding
from rules.reader import CONFIDENCES, NEVER, Standing, standing_of
from rules.tally import ONE

PARTS = 4
"""Into so many parts goes what belongs to no corpus; lines of one group stay together."""

PRECISION = 0.8
"""So many of the suggestions must be right, where the patterns find nothing."""

LOSS = 0.005
"""So many of the true families at most may go with the doubted ones."""

SOFTENED = 0.02
"""So many of the true violations at most may become reviews with the doubted ones."""

FEW = 30
"""A family with fewer examples that the patterns miss is as sure as all together."""

DOUBTS = tuple(-n / 20 for n in range(2, 41))

Found = Mapping[str, Mapping[str, Standing]]
"""By contact and family of which words are found, how the best of its findings stands."""


@dataclass(frozen=True)
class Settled:
    """Margins in whole steps, for each family; see `rules.reader.Reader`."""

    floors: tuple[int, ...]
    doubts: tuple[int, ...]
    softens: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]
    report: tuple[str, ...] = ()


def found_by_patterns(
    pack: Pack,
    examples: Iterable[Example],
    corpora: Iterable[Corpus],
    advance: Callable[[], None] = lambda: None,
) -> Found:
    """What the patterns alone find in each contact, in each lone line as said in a call."""
    found: dict[str, dict[str, Standing]] = {}
    for corpus in corpora:
        for name, findings in report_findings(pack, corpus, reader=False).items():
            found[f"corpus/{corpus.name}/{name}"] = _families(findings)
    for example in examples:
        if not example.source.startswith("corpus/"):
            party = "third_party" if example.to_third else "debtor"
            entry = build(pack.rules[0], {"collector": example.text, "party": party})
            verdict = evaluate(pack, entry.history, reader=False)[entry.index]
            found[example.contact] = _families(verdict.findings)
        advance()
    return found


def _families(findings: Iterable[Finding]) -> dict[str, Standing]:
    best: dict[str, Standing] = {}
    for finding in findings:
        if finding.disposition is not Disposition.SIGNAL and finding.quote is not None:
            held = best.get(finding.family, Standing.MERE)
            best[finding.family] = max(held, standing_of(finding))
    return best


def part_of(example: Example) -> str:
    """The part that is held out together with an example."""
    if example.source.startswith("corpus/"):
        return example.source
    group = example.contact.rsplit("/", 1)[0]
    return f"part {int(hashlib.sha256(group.encode()).hexdigest(), 16) % PARTS}"


def held_out_margins(
    sheet: Sheet, examples: Sequence[Example], labels: Sequence[Labels], tell: Callable[[str], None]
) -> NDArray[np.float64]:
    """The margin of each example for each label, of borders fitted without its part."""
    parts = np.array([part_of(example) for example in examples])
    margins = np.zeros((len(examples), len(labels)))
    for part in sorted(set(parts)):
        tell(f"without {part}")
        away = parts == part
        borders = sheet.fit([label.only(~away) for label in labels])
        margins[away] = sheet.greatest(borders, away)
    return margins


@dataclass(frozen=True)
class _Family:
    """The contacts that tell of one family: margin, truth, and what the patterns find there."""

    margins: NDArray[np.float64]
    true: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    mere: NDArray[np.bool_]
    blamed: NDArray[np.bool_]
    lawful: NDArray[np.bool_]


def _family(
    name: str,
    examples: Sequence[Example],
    margins: NDArray[np.float64],
    label: Labels,
    found: Found,
) -> _Family:
    contacts: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        contacts[example.contact].append(number)
    rows = []
    for contact, numbers in contacts.items():
        true = bool(label.belongs[numbers].any())
        if not true and not label.tells[numbers].all():
            continue
        stands = found.get(contact, {}).get(name)
        lawful = not any(examples[n].wanted or examples[n].tolerated for n in numbers)
        mere, blamed = stands is Standing.MERE, stands is Standing.BLAMED
        rows.append((margins[numbers].max(), true, stands is None, mere, blamed, lawful))
    columns = list(zip(*rows, strict=True))
    return _Family(np.array(columns[0]), *(np.array(column, dtype=bool) for column in columns[1:]))


def settle(
    names: Sequence[str],
    examples: Sequence[Example],
    margins: NDArray[np.float64],
    labels: Sequence[Labels],
    found: Found,
    step: float,
) -> Settled:
    """Find the floors, doubts, softens and steps by margins of held-out examples."""
    families = [
        _family(name, examples, margins[:, n], labels[n], found) for n, name in enumerate(names)
    ]
    silent = [(f.margins[f.silent], f.true[f.silent]) for f in families]
    together = _sureness(*map(np.concatenate, zip(*silent, strict=True)))
    curves = [_sureness(*pair) if pair[1].sum() >= FEW else together for pair in silent]
    steps = [[(log(c / (1 - c)) - b) / a for c in CONFIDENCES] for a, b in curves]
    report, least = [], len(CONFIDENCES) - 1
    for n, confidence in reversed(list(enumerate(CONFIDENCES))):
        right, wrong, lawful = _counts(families, [one[n] for one in steps])
        report.append(f"{confidence:.2f}: {right} right, {wrong} wrong, {lawful} of them lawful")
        if right >= PRECISION * (right + wrong):
            least = n
    known = sum(int((family.true & ~family.silent).sum()) for family in families)
    doubt, gone = _border([(f.mere, f.true, f.margins) for f in families], LOSS * known)
    blamed = sum(int((family.true & family.blamed).sum()) for family in families)
    soft, softened = _border([(f.blamed, f.true, f.margins) for f in families], SOFTENED * blamed)
    whole = [tuple(round(margin * ONE / step) for margin in one) for one in steps]
    return Settled(
        tuple(one[least] for one in whole),
        tuple(round(doubt * ONE / step) for _ in whole),
        tuple(round(soft * ONE / step) for _ in whole),
        tuple(whole),
        (
            *report,
            f"suggested from {CONFIDENCES[least]:.2f} on",
            f"doubted below {doubt:.2f}: {gone[0]} of {known} true families go, {gone[1]} false",
            f"softened below {soft:.2f}: {softened[0]} of {blamed} true ones, {softened[1]} false",
        ),
    )


def _sureness(margins: NDArray[np.float64], true: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and start of the log odds that so great a margin is right (Platt 1999)."""
    curve = LogisticRegression(C=1e3).fit(margins[:, None], true)
    return max(1e-6, float(curve.coef_[0][0])), float(curve.intercept_[0])


def _counts(families: Sequence[_Family], floors: Sequence[float]) -> tuple[int, int, int]:
    """Where the patterns find nothing: suggestions right, wrong, and wrong of lawful talk."""
    right = wrong = lawful = 0
    for family, floor in zip(families, floors, strict=True):
        told = family.silent & (family.margins >= floor)
        right += int((told & family.true).sum())
        wrong += int((told & ~family.true).sum())
        lawful += int((told & ~family.true & family.lawful).sum())
    return right, wrong, lawful


def _border(
    told: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]], most: float
) -> tuple[float, tuple[int, int]]:
    """The highest margin below which at most so many true ones lie, and how many true and false.

    `told` holds of each family which of its contacts are meant, which are true, and the margins.
    """
    best, counts = float(-NEVER), (0, 0)
    for border in sorted(DOUBTS):
        lost = sum(int((meant & true & (margins < border)).sum()) for meant, true, margins in told)
        if lost <= most:
            gone = sum(
                int((meant & ~true & (margins < border)).sum()) for meant, true, margins in told
            )
            best, counts = border, (lost, gone)
    return best, counts
