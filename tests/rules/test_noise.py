"""Speech that was badly written down: what still stands, and that few are blamed for noise."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hegui.evaluation.noise import SyllableNoise
from rules import Pack, evaluate
from rules.misheard import misheard
from rules.model import CaseHistory, Disposition, Finding, Outcome
from tests.rules import spoken_corpus as corpus

RATE, SEED, EVERY = 0.10, 21, 6
"""One line of so many is read, which takes a few seconds."""

MOST_REVIEWS = 0.05
MOST_BLAMED = 0.005
"""A denial misheard as an everyday word leaves no trace: 我们补会打."""

MOST_LOST = 0.05
"""The second reader learned these lines, with other syllables confused."""


def _heard(history: CaseHistory, name: str) -> CaseHistory:
    """The history with one syllable in ten of its last contact taken for another."""
    noise, contact = SyllableNoise(RATE, SEED), history.contacts[-1]
    said = contact.interaction.transcript
    if said is None:
        return history
    transcript = tuple(
        segment.model_copy(update={"text": noise(f"{name}/{n}", segment.text)})
        for n, segment in enumerate(said)
    )
    interaction = contact.interaction.model_copy(update={"transcript": transcript})
    return replace(
        history, contacts=(*history.contacts[:-1], replace(contact, interaction=interaction))
    )


def _found(pack: Pack, history: CaseHistory) -> tuple[Finding, ...]:
    return evaluate(pack, history)[-1].findings


def _bad_lines() -> Iterator[tuple[str, corpus.Entry]]:
    for name in ("held_out", "held_out_2", "held_out_more", "held_out_5"):
        for entry in corpus.bad_lines(name)[::EVERY]:
            yield f"{name}/{entry.name}", entry


def test_one_wrong_syllable_in_ten_hides_little(pack: Pack) -> None:
    clean = noisy = 0
    for name, entry in _bad_lines():
        wanted = {rule[:3] for rule in entry.wanted}
        clean += len(wanted & {f.rule[:3] for f in _found(pack, entry.history)})
        noisy += len(wanted & {f.rule[:3] for f in _found(pack, _heard(entry.history, name))})
    assert clean > 50
    assert noisy >= (1 - MOST_LOST) * clean


def test_hardly_a_lawful_contact_fails_for_noise(pack: Pack) -> None:
    entries = [*corpus.lawful_lines(), *corpus.lawful_dialogues()][::EVERY]
    blamed, doubted = [], 0
    for number, entry in enumerate(entries):
        found = _found(pack, _heard(entry.history, f"{number}/{entry.name}"))
        said = [(f.rule, f.heard) for f in found if f.disposition is Disposition.VIOLATION]
        if said:
            blamed.append((entry.name, said))
        doubted += any(f.disposition is Disposition.REVIEW for f in found)
    assert len(blamed) <= MOST_BLAMED * len(entries), blamed
    assert doubted <= MOST_REVIEWS * len(entries)


def _call(*said: str) -> CaseHistory:
    """A call that is opened badly heard, in which the collector says this."""
    who = ("collector", "您壕，我是远岸银行贷后，工号0088，本次通化录音，氰问是韩雪女士崩人吗？")
    turns = [who, ("party", "我是韩雪。")]
    for line in said:
        turns += [("collector", line), ("party", "哦。")]
    return corpus.history_of({}, turns)


def test_in_a_shaky_call_one_sign_asks_for_a_review_and_two_apart_stand(pack: Pack) -> None:
    one, other = "我打断你的腿。", "再不还就去你家门口泼油漆。"
    assert (
        evaluate(pack, corpus.history_of({}, [*corpus.OPENING, ("collector", one)]))[-1].outcome
        is Outcome.FAIL
    )
    assert evaluate(pack, _call(one))[-1].outcome is Outcome.REVIEW
    assert evaluate(pack, _call(one, other))[-1].outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("heard", "places"),
    [
        ("本次通话请问是女士崩人吗", "崩"),
        ("您说您傀骂成老赖", "傀"),
        ("您好，橙舟四千四", ""),
        ("您的花呗额度，咱们说说呗", ""),
        ("请您按时还款，谢谢您配合", ""),
    ],
)
def test_a_character_is_misheard_where_another_of_its_sound_makes_a_word(
    heard: str, places: str
) -> None:
    assert "".join(heard[at] for at, named in misheard(heard) if not named) == places
