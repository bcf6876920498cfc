"""A small pack for tests of the engine, and contacts to judge with it."""

from functools import cache
from typing import Any

from rules import Pack, evaluate, parse
from rules.events import InteractionCompleted, parse_value
from rules.history import build_histories
from rules.model import Audio, CaseHistory, Verdict
from service.packs import load_pack

HEAD = 'pack: small\nversion: "1"\ntitle: {zh: 小包, en: Small}\n'
ARTICLES = """
articles:
  - {id: a/1, instrument: {zh: 公约, en: Convention}, article: "1", text: 不得威胁, label: T, source: test}
  - {id: a/2, instrument: {zh: 传闻, en: Hearsay}, article: "2", text: 传闻, label: U, source: none}
"""
RULES = """
family: THR
title: {zh: 威胁, en: Threats}
lexicon:
  you: [你, 您, 你们]
  limb: [腿, 胳膊]
idioms: [弄死机]
cues:
  asks_number: {speaker: party, words: [工号 .. 多少]}
rules:
  - id: THR-01
    title: {zh: 暴力, en: Violence}
    severity: critical
    articles: [a/1]
    basis: guideline
    when:
      any:
        - words:
            - "(打断|卸) {you} 的? (一条)? {limb}"
            - say: 弄死 {you}?
              unless: [弄死蟑螂]
            - "(上门|去你家) .. (泼|喷)油漆"
            - say: 走着瞧
              disposition: review
        - sequence:
            - {cue: asks_number}
            - {words: [你别管], within: {turns: 1}}
    why: {zh: "说了“{quote}”", en: "Said {quote}."}
    tests:
      hits: [打断你的腿, 上门泼油漆, 弄死你]
      misses: [我们不会打断你的腿, 弄死机了, 打断一下]
      heard: [上门颇游戏, 打断你得腿]
  - id: THR-02
    title: {zh: 次数, en: Count}
    severity: low
    articles: [a/1]
    basis: policy
    parameters:
      limit: {default: 3, min: 1, max: 3, label: {zh: 上限, en: limit}}
      enabled: {default: true, label: {zh: 开关, en: switch}}
    when: {repeated: {words: [还不还钱], times: 2}}
    why: {zh: "反复“{quote}”", en: "Again {quote}, limit {limit}."}
    tests:
      hits: [&twice {turns: [{collector: 还不还钱}, {party: 嗯}, {collector: 还不还钱}]}, *twice, *twice]
      misses: [还不还钱, 您好, 再见]
      heard: [*twice, *twice]
      boundary: {hits: [*twice], misses: [还不还钱]}
  - id: THR-03
    title: {zh: 未告知录音, en: No notice}
    severity: low
    articles: [a/1]
    basis: policy
    channels: [call]
    when: {absent: {words: [录音]}, name: {zh: 录音提示, en: a notice of recording}}
    why: {zh: "没有{missing}", en: "No {missing}."}
    tests: {hits: [您好], misses: [本次通话录音]}
"""


@cache
def small_pack(rules: str = RULES) -> Pack:
    return parse({"pack.yaml": HEAD, "articles.yaml": ARTICLES, "thr.yaml": rules})


def collection() -> Pack:
    return load_pack()


def call(*turns: tuple[str, str], **segment: Any) -> CaseHistory:
    """The history of one answered call; turns are (speaker, text)."""
    data = {
        "interaction_id": "i1",
        "case_id": "c1",
        "agency_id": "A1",
        "channel": "call",
        "direction": "outbound",
        "started_at": "2026-06-03T10:00:00+08:00",
        "outcome": "answered",
        "talk_seconds": 10 * len(turns),
        "collector": {"id": "0001"},
        "party": {"role": "debtor", "phone": "+8613800000001"},
        "recording": {"sha256": "0" * 64, "speakers": ["collector", "party"]},
        "transcript": [
            {"speaker": who, "start": 10 * n, "end": 10 * n + 10, "text": text, **segment}
            for n, (who, text) in enumerate(turns)
        ],
    }
    event = {"type": "interaction.completed", "timestamp": data["started_at"], "data": data}
    return build_histories([parse_value(event, InteractionCompleted)])["c1"]


def verdict_of(pack: Pack, history: CaseHistory, **more: Any) -> Verdict:
    (verdict,) = evaluate(pack, history, **more)
    return verdict


def with_audio(history: CaseHistory, audio: Audio) -> CaseHistory:
    from dataclasses import replace

    return replace(history, contacts=tuple(replace(c, audio=audio) for c in history.contacts))
