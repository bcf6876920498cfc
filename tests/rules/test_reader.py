"""The second reader: what it may suggest, where it points, and that it counts the same always."""

import time
from dataclasses import replace
from importlib.resources import files
from math import isqrt

import pytest

from rules import Pack, evaluate, gated_utterances
from rules.events import Speaker
from rules.image import from_bytes, to_bytes
from rules.model import CaseHistory, Disposition, Finding
from rules.reader import (
    FILE,
    NEVER,
    Reader,
    ReaderError,
    Standing,
    prepared,
    read_reader,
    standing_of,
)
from rules.second import DOUBTED, DOUBTED_ZH
from rules.tally import ONE, features
from tests.rules import spoken_corpus as corpus
from tests.rules.small_pack import call, small_pack

ODD_WORDS = (
    "我手里刚放出来的兄弟闲得慌，让他们陪你唠唠，看你骨头有多硬",
    "你闺女几点放学我比你还清楚，别让我在校门口碰着她",
    "把你那点破事印成传单，小区里一家塞一张",
    "钱别走软件了，直接打到我微信上，我这边给你销账",
)


def suggested(pack: Pack, history: CaseHistory) -> list[Finding]:
    """What only the reader says of the last contact."""
    findings = evaluate(pack, history)[-1].findings
    return [finding for finding in findings if finding.match == "suggested"]


@pytest.fixture(scope="module")
def reader(pack: Pack) -> Reader:
    """The reader of the collection pack."""
    assert pack.reader is not None
    return pack.reader


def test_the_pack_suggests_by_itself_and_can_be_told_not_to(pack: Pack) -> None:
    lines = [entry for name in ("held_out", "held_out_5") for entry in corpus.bad_lines(name)]
    told = [found for entry in lines for found in suggested(pack, entry.history)]
    assert len(told) >= 5
    for entry in lines:
        alone = evaluate(pack, entry.history, reader=False)[-1].findings
        assert not any(finding.match == "suggested" for finding in alone)


def test_a_suggestion_is_a_review_that_quotes_what_was_said(pack: Pack) -> None:
    seen = 0
    for name in ("held_out", "held_out_2", "held_out_5", "held_out_6", "held_out_more"):
        for entry in corpus.bad_lines(name):
            interaction = entry.history.contacts[-1].interaction
            said = [segment.text for segment in interaction.transcript or ()]
            said = said or [interaction.text or ""]
            others = evaluate(pack, entry.history, reader=False)[-1].findings
            for finding in suggested(pack, entry.history):
                seen += 1
                assert finding.disposition is Disposition.REVIEW
                assert finding.speaker is Speaker.COLLECTOR
                text = said[finding.segment or 0]
                assert text[finding.char_start : finding.char_end] == finding.quote != ""
                family = finding.rule[:4]
                assert not any(o.rule.startswith(family) and o.quote for o in others)
                assert "“" in finding.why_zh
    assert seen >= 10


@pytest.mark.parametrize("line", ODD_WORDS)
def test_words_that_are_not_surely_the_collectors_are_never_suggested(
    pack: Pack, line: str
) -> None:
    for kind in ("party", "unknown", "unsure", "untrusted", "biased"):
        history = call(("collector", "您好"), ("collector", line))
        (contact,) = history.contacts
        greeting, said = contact.interaction.transcript or ()
        change: dict[str, dict[str, object]] = {
            "party": {"speaker": Speaker.PARTY},
            "unknown": {"speaker": Speaker.UNKNOWN},
            "unsure": {"role_score": 0.5},
            "untrusted": {"trusted": False},
            "biased": {"biased": True},
        }
        talk = (greeting, said.model_copy(update=change[kind]))
        interaction = contact.interaction.model_copy(update={"transcript": talk})
        turned = replace(history, contacts=(replace(contact, interaction=interaction),))
        assert suggested(pack, turned) == [], kind


def test_only_gated_words_are_suggested(pack: Pack) -> None:
    lines = [entry for name in ("held_out", "held_out_more") for entry in corpus.bad_lines(name)]
    for entry in (*lines, *corpus.lawful_dialogues()):
        contact = entry.history.contacts[-1]
        gated = {segment for segment, _ in gated_utterances(pack, contact)}
        assert {finding.segment for finding in suggested(pack, entry.history)} <= gated


def test_lawful_talk_is_hardly_ever_suggested(pack: Pack) -> None:
    entries = [*corpus.lawful_lines(), *corpus.lawful_dialogues()]
    told = [entry.name for entry in entries if suggested(pack, entry.history)]
    assert len(told) <= 0.01 * len(entries), told


def test_a_clear_violation_is_never_dropped(pack: Pack) -> None:
    for name in ("held_out", "held_out_2", "held_out_3"):
        for entry in corpus.bad_lines(name):
            alone = evaluate(pack, entry.history, reader=False)[-1].findings
            both = {
                (f.rule, f.segment, f.char_start)
                for f in evaluate(pack, entry.history)[-1].findings
            }
            blamed = {
                (f.rule, f.segment, f.char_start)
                for f in alone
                if f.disposition is not Disposition.REVIEW
            }
            assert blamed <= both


def test_the_compiled_sum_is_the_sum_of_the_features(reader: Reader) -> None:
    weights = reader.families
    number = {key: n for n, key in enumerate(weights.keys.tolist())}
    for line in (*ODD_WORDS, "您先还3500元，剩下的月底再说", "好"):
        text, codes = prepared(line)
        known = [number[k] for k, _, _ in features(text, codes, 0, len(text)) if k in number]
        length = isqrt(sum(int(weights.rarities[n]) ** 2 for n in known))
        margins = weights.margins(text, codes, 0, len(text))
        assert bool(margins) == (len(line) > 2)
        for column, name in enumerate(weights.names if margins else ()):
            total = ONE * sum(int(weights.rows[n, column]) for n in known)
            share = abs(total) // length * (1 if total > 0 else -1)  # as C cuts, towards zero
            assert margins[name] == weights.biases[column] + share


def test_a_sentence_weighs_the_same_alone_and_among_others(reader: Reader) -> None:
    line = ODD_WORDS[0].replace("，", "")
    alone, among = prepared(line), prepared(f"您好。{line}。再见")
    one = reader.families.margins(*alone, 0, len(alone[0]))
    other = reader.families.margins(*among, 0, len(among[0]))
    assert all(other[name] >= margin for name, margin in one.items())


def test_a_reader_survives_the_image_of_its_pack(pack: Pack, reader: Reader) -> None:
    again = from_bytes(to_bytes(pack)).reader
    assert again == reader
    text, codes = prepared(ODD_WORDS[1])
    size = len(text)
    assert again is not None
    assert again.families.margins(text, codes, 0, size) == reader.families.margins(
        text, codes, 0, size
    )


def test_a_pack_without_a_reader_suggests_nothing() -> None:
    pack = small_pack()
    assert pack.reader is None
    assert suggested(pack, call(("collector", ODD_WORDS[0]))) == []


@pytest.mark.parametrize(
    "change", [("reader: 1", "reader: 9"), ("floors: [", "floors: [1, "), ("keys: |", "kays: |")]
)
def test_a_damaged_reader_is_refused(change: tuple[str, str]) -> None:
    text = (files("rules") / "packs" / "collection" / FILE).read_text("utf-8")
    with pytest.raises(ReaderError):
        read_reader(text.replace(*change))


@pytest.mark.parametrize("unit", ["打断你的腿", "嗯。", "1", "上门，", "\U0001f600", "\n"])
def test_hostile_texts_are_read_in_linear_time(reader: Reader, unit: str) -> None:
    def cost(size: int) -> float:
        text, codes = prepared(unit * (size // len(unit)))
        start = time.process_time()
        reader.families.margins(text, codes, 0, len(text))
        return time.process_time() - start

    cost(1_000)
    small = max(1e-4, min(cost(20_000) for _ in range(5)))
    assert min(cost(160_000) for _ in range(3)) < 8 * 4 * small


def test_a_violation_by_words_that_the_reader_doubts_asks_for_a_review_and_says_so(
    pack: Pack, reader: Reader
) -> None:
    names = len(reader.families.names)
    credulous = replace(pack, reader=replace(reader, softens=(-NEVER,) * names))
    doubtful = replace(pack, reader=replace(reader, softens=(NEVER,) * names))
    softened = 0
    for entry in corpus.bad_lines("held_out"):
        believed = evaluate(credulous, entry.history)[-1].findings
        now = {
            (f.rule, f.segment, f.char_start): f
            for f in evaluate(doubtful, entry.history)[-1].findings
        }
        for finding in believed:
            again = now[finding.rule, finding.segment, finding.char_start]
            by_words = standing_of(finding) is Standing.BLAMED
            if not by_words or finding.rule.split("-")[0] not in reader.families.names:
                assert again == finding
                continue
            softened += again.disposition is Disposition.REVIEW
            if again != finding:
                assert again.disposition is Disposition.REVIEW
                assert again.why.endswith(DOUBTED)
                assert again.why_zh.endswith(DOUBTED_ZH)
    assert softened >= 20
