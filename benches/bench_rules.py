"""How fast the full pack loads and checks lawful calls; prints JSON lines, CPU seconds of a core.

Ordinary lawful calls are authored conversations (tests/rules/good_calls), one after the other up
to the length. The hardest ones are made up of near misses of the pack, every other line full of
the words that its rules look for.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import jieba
import yaml
from daachorse import CharwiseDoubleArrayAhoCorasick

from rules import Pack, evaluate, parse
from rules.document import Document, Side, Voice
from rules.events import InteractionCompleted, parse_value
from rules.history import build_histories
from rules.model import CaseHistory
from rules.ordinary import TALK
from rules.sow import PART, Sown

UTTERANCES = 46
CALLS = 20
ROUNDS = 5
MANY_ROUNDS = 15


def pack_files() -> dict[str, str]:
    folder = files("rules") / "packs" / "collection"
    return {f.name: f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".yaml")}


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


def call_of_lines(pack: Pack, utterances: int, seed: int) -> CaseHistory:
    collector, party = lawful_lines(pack)
    pick = random.Random(seed)  # noqa: S311  the same calls each time
    lines = [
        ("party", pick.choice(party)) if n % 2 else ("collector", pick.choice(collector))
        for n in range(utterances)
    ]
    return call_of(lines, seed)


def ordinary_call(utterances: int, seed: int) -> CaseHistory:
    """Authored lawful conversations in an order of their own, so many utterances of them."""
    path = Path(__file__).parents[1] / "tests" / "rules" / "good_calls" / "dialogues.yaml"
    talks = [item["turns"] for item in yaml.safe_load(path.read_text("utf-8")) if "turns" in item]
    random.Random(seed).shuffle(talks)  # noqa: S311  the same calls each time
    voices = {"c": "collector", "p": "party"}
    said = [(voices[who], text) for talk in talks for turn in talk for who, text in turn.items()]
    return call_of(said[:utterances], seed)


def call_of(lines: list[tuple[str, str]], seed: int) -> CaseHistory:
    turns = [
        {"speaker": speaker, "start": 4.0 * n, "end": 4.0 * n + 4, "text": text}
        for n, (speaker, text) in enumerate(lines)
    ]
    data = {
        "interaction_id": f"i{seed}",
        "case_id": "c",
        "channel": "call",
        "direction": "outbound",
        "started_at": "2026-06-03T10:00:00+08:00",
        "outcome": "answered",
        "talk_seconds": min(86_000, 4 * len(lines)),
        "collector": {"id": "0001"},
        "party": {"role": "debtor", "phone": "+8613800000001"},
        "recording": {"sha256": "0" * 64, "speakers": ["collector", "party"]},
        "transcript": turns,
    }
    event = {"type": "interaction.completed", "timestamp": data["started_at"], "data": data}
    return build_histories([parse_value(event, InteractionCompleted)])["c"]


class Spent(NamedTuple):
    """CPU seconds of one piece of work: the least of several rounds, and their median."""

    least: float
    median: float


def measured(work: Callable[[], object], rounds: int = ROUNDS) -> Spent:
    """What a piece of work costs, after one round to warm up."""
    return measured_each([work], rounds)


def measured_each(works: Sequence[Callable[[], object]], rounds: int = ROUNDS) -> Spent:
    """What each of these costs on average, done in turn so that none finds its data at hand."""
    for work in works:
        work()
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, times in zip(works, spent, strict=True):
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
    return Spent(statistics.mean(map(min, spent)), statistics.mean(map(statistics.median, spent)))


def keyword_loop(phrases: list[str], calls: list[CaseHistory]) -> int:
    """Each text cut into words once, then each phrase looked for among them and in the text.

    A pattern counts as one phrase, though it stands for many: the loop does less than the pack.
    """
    found = 0
    for call in calls:
        for segment in call.contacts[0].interaction.transcript or ():
            words = set(jieba.lcut(segment.text))
            found += sum(phrase in words or phrase in segment.text for phrase in phrases)
    return found


def more_phrases(wanted: int) -> str:
    """A file of a pack with so many phrases: words nobody says together."""
    pick = random.Random(1)  # noqa: S311  the same phrases each time
    words = [word for line in TALK.split() for word in jieba.lcut(line) if len(word) > 1]
    lines = "\n".join(f"      - {''.join(pick.sample(words, 3))}" for _ in range(wanted))
    return f"cues:\n  more:\n    words:\n{lines}\n"


def show(measure: str, **figures: object) -> None:
    print(json.dumps({"bench": "rules", "measure": measure, **figures}), flush=True)


FRESH = """
import json, sys, time
from pathlib import Path
t = time.process_time
begun = t()
from rules import evaluate
from service.pack_cache import compiled
from benches.bench_rules import CALLS, UTTERANCES, call_of_lines, hostile, pack_files
ready = t()
pack = compiled(pack_files(), Path(sys.argv[1]))
loaded = t()
def peak():  # the process's own: what getrusage tells begins with the parent's
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
with_pack = peak()
calls = [call_of_lines(pack, UTTERANCES, seed) for seed in range(CALLS)]
first = t()
evaluate(pack, calls[0])
first = t() - first
for call in calls:
    evaluate(pack, call)
worked = peak()
text = t()
evaluate(pack, hostile())
print(json.dumps({
    "import_s": round(ready - begun, 2), "load_s": round(loaded - ready, 2),
    "memory_with_pack_mb": with_pack, "first_call_ms": round(1000 * first, 1),
    "memory_after_calls_mb": worked, "hostile_1mb_s": round(t() - text, 2),
    "memory_after_hostile_mb": peak(),
}))
"""
"""What a worker does that starts: it loads the pack, checks calls, and is sent a hostile text."""


def fresh(folder: str) -> dict[str, object]:
    """The figures of a process of its own, with this folder as its cache of packs."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", FRESH, folder]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def hostile() -> CaseHistory:
    """A call of a megabyte that sets off triggers at every turn of phrase."""
    piece = "你的合同发到网上三万二今天还给我们，"
    return call_of([("collector", (piece * 5000)[:87_000])] * 4, 1)


def measure_lawful(pack: Pack, kind: str, calls: list[CaseHistory]) -> Spent:
    """What lawful calls of a kind cost each."""
    full = measured_each([partial(evaluate, pack, call) for call in calls], MANY_ROUNDS)
    signs = [len(s.text) for call in calls for s in call.contacts[0].interaction.transcript or ()]
    show(
        f"{kind} lawful call",
        utterances=UTTERANCES,
        characters=round(sum(signs) / len(calls)),
        call_ms=round(1000 * full.least, 3),
        call_ms_median=round(1000 * full.median, 3),
        calls_per_s=round(1 / full.median),
        utterances_per_s=round(UTTERANCES / full.median),
    )
    return full


def measure_calls(pack: Pack, hardest: list[CaseHistory]) -> None:
    """What a lawful call costs, next to a loop over keywords and to the automata alone."""
    ordinary = [ordinary_call(UTTERANCES, seed) for seed in range(CALLS)]
    phrases = [e.say for c in pack.conditions.values() for e in c.entries]
    first, second = bare_automata(pack.matchers[Voice.COLLECTOR].sower.sown)
    for kind, calls in (("ordinary", ordinary), ("hardest", hardest)):
        full = measure_lawful(pack, kind, calls).median
        keywords = measured_each([partial(keyword_loop, phrases, [call]) for call in calls]).median
        sides = [Document(c.contacts[0].interaction).side(Voice.COLLECTOR) for c in calls]
        bare = measured_each([partial(scan_all, first, second, [side]) for side in sides]).median
        show(
            f"{kind} call next to others",
            phrases=len(phrases),
            times_faster_than_jieba_keywords=round(keywords / full, 1),
            times_slower_than_bare_automata=round(full / bare, 1),
        )


def bare_automata(
    sown: Sown,
) -> tuple[CharwiseDoubleArrayAhoCorasick, CharwiseDoubleArrayAhoCorasick]:
    """Automata that find the words of the patterns' cores, as written and by their syllables."""
    triggers = range(len(sown.core_of))
    words = {sown.words[slice(*sown.word_places[n : n + 2])].replace(PART, "") for n in triggers}
    codes = {sown.codes[slice(*sown.places[n : n + 2])] for n in triggers}
    return CharwiseDoubleArrayAhoCorasick(sorted(words)), CharwiseDoubleArrayAhoCorasick(
        sorted(codes)
    )


def scan_all(
    characters: CharwiseDoubleArrayAhoCorasick,
    syllables: CharwiseDoubleArrayAhoCorasick,
    sides: list[Side],
) -> None:
    for side in sides:
        characters.find_overlapping(side.text)
        syllables.find_overlapping(side.codes)


def check_all(pack: Pack, calls: list[CaseHistory]) -> None:
    for call in calls:
        evaluate(pack, call)


def main() -> None:
    started = time.process_time()
    pack = parse(pack_files())
    show(
        "cold",
        compile_s=round(time.process_time() - started, 2),
        rules=len(pack.rules),
        patterns=sum(len(m.patterns) for m in pack.matchers.values()),
    )
    with tempfile.TemporaryDirectory() as folder:
        show("first start", **fresh(folder))
        show("warm start", **fresh(folder))
    calls = [call_of_lines(pack, UTTERANCES, seed) for seed in range(CALLS)]
    measure_calls(pack, calls)
    hours = {n: call_of_lines(pack, UTTERANCES * n, 99) for n in (5, 45)}
    spent = {n: measured(partial(evaluate, pack, hour), 2).median for n, hour in hours.items()}
    show(
        "three hours",
        utterances=45 * UTTERANCES,
        call_ms=round(1000 * spent[45], 1),
        cost_of_9_times_the_length=round(spent[45] / spent[5], 2),
    )
    wider = parse(pack_files() | {"more.yaml": more_phrases(2000)})
    without, more = (measured(partial(check_all, one, calls)).least for one in (pack, wider))
    show("2,000 phrases more", share_added=round(more / without - 1, 3))


if __name__ == "__main__":
    main()
