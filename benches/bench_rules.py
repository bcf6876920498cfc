"""How fast the full pack checks lawful calls; prints one JSON line."""

import json
import random
import resource
import statistics
import time
from collections.abc import Callable
from importlib.resources import files

import jieba

from rules import Pack, evaluate, parse
from rules.document import Document, Voice
from rules.events import InteractionCompleted, parse_value
from rules.history import build_histories
from rules.model import CaseHistory
from rules.ordinary import TALK

UTTERANCES = 46
CALLS = 20
ROUNDS = 5


def load() -> Pack:
    folder = files("rules") / "packs" / "collection"
    names = [f for f in folder.iterdir() if f.name.endswith(".yaml")]
    return parse({f.name: f.read_text("utf-8") for f in names})


def lawful_lines(pack: Pack) -> tuple[list[str], list[str]]:
    """What collectors and debtors say in the misses of the pack and in ordinary talk."""
    own = [line.strip() for line in TALK.split() if line.strip()]
    said = [entry for rule in pack.rules for entry in rule.tests.misses if isinstance(entry, str)]
    party = [
        entry["party_says"]
        for rule in pack.rules
        for entry in rule.tests.misses
        if isinstance(entry, dict) and "party_says" in entry
    ]
    return own + said[::3], (party or own)


def history(pack: Pack, utterances: int, seed: int) -> CaseHistory:
    collector, party = lawful_lines(pack)
    pick = random.Random(seed)  # noqa: S311  the same calls each time
    turns = [
        {
            "speaker": "party" if n % 2 else "collector",
            "start": 4.0 * n,
            "end": 4.0 * n + 4,
            "text": pick.choice(party if n % 2 else collector),
        }
        for n in range(utterances)
    ]
    data = {
        "interaction_id": f"i{seed}",
        "case_id": "c",
        "channel": "call",
        "direction": "outbound",
        "started_at": "2026-06-03T10:00:00+08:00",
        "outcome": "answered",
        "talk_seconds": min(86_000, 4 * utterances),
        "collector": {"id": "0001"},
        "party": {"role": "debtor", "phone": "+8613800000001"},
        "recording": {"sha256": "0" * 64, "speakers": ["collector", "party"]},
        "transcript": turns,
    }
    event = {"type": "interaction.completed", "timestamp": data["started_at"], "data": data}
    return build_histories([parse_value(event, InteractionCompleted)])["c"]


def measured(work: Callable[[], object]) -> float:
    """Median CPU seconds of several rounds, after one round to warm up."""
    work()
    spent = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return statistics.median(spent)


def keyword_loop(phrases: list[str], texts: list[str]) -> int:
    return sum(
        phrase in set(jieba.lcut(text)) or phrase in text for text in texts for phrase in phrases
    )


def more_phrases(wanted: int) -> Pack:
    """The pack with so many phrases more: pairs of words nobody says."""
    folder = files("rules") / "packs" / "collection"
    given = {f.name: f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".yaml")}
    pick = random.Random(1)  # noqa: S311  the same phrases each time
    words = [word for line in TALK.split() for word in jieba.lcut(line) if len(word) > 1]
    lines = "\n".join(f"      - {''.join(pick.sample(words, 3))}" for _ in range(wanted))
    given["more.yaml"] = f"cues:\n  more:\n    words:\n{lines}\n"
    return parse(given)


def main() -> None:
    started = time.process_time()
    pack = load()
    load_seconds = time.process_time() - started
    calls = [history(pack, UTTERANCES, seed) for seed in range(CALLS)]
    full = measured(lambda: [evaluate(pack, call) for call in calls]) / CALLS
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    texts = [s.text for call in calls for s in call.contacts[0].interaction.transcript or ()]
    phrases = [e.say for c in pack.conditions.values() for e in c.entries][:2000]
    few = texts[:UTTERANCES]
    keywords = measured(lambda: keyword_loop(phrases, few))
    side = [Document(call.contacts[0].interaction).side(Voice.COLLECTOR) for call in calls]
    matcher = pack.matchers[Voice.COLLECTOR]
    automata = [p.automaton for p in (matcher.sower.sown.characters, matcher.sower.sown.syllables)]
    first, second = (a for a in automata if a is not None)
    bare = (
        measured(
            lambda: [
                (first.find_overlapping(s.text), second.find_overlapping(s.codes)) for s in side
            ]
        )
        / CALLS
    )
    one, four = (history(pack, UTTERANCES * n, 99) for n in (10, 40))
    linear = measured(lambda: evaluate(pack, four)) / measured(lambda: evaluate(pack, one))
    wider = more_phrases(2000)
    extra = measured(lambda: [evaluate(wider, call) for call in calls]) / CALLS
    print(
        json.dumps(
            {
                "bench": "rules",
                "rules": len(pack.rules),
                "patterns": sum(len(m.patterns) for m in pack.matchers.values()),
                "load_s": round(load_seconds, 2),
                "call_ms": round(1000 * full, 3),
                "calls_per_s": round(1 / full),
                "utterances_per_s": round(UTTERANCES / full),
                "times_faster_than_jieba_keywords": round(keywords / full, 1),
                "times_slower_than_bare_automata": round(full / bare, 1),
                "cost_of_4x_length": round(linear, 2),
                "cost_of_2000_phrases": round(extra / full - 1, 3),
                "memory_mb": memory,
            }
        )
    )


if __name__ == "__main__":
    main()
