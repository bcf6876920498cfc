"""Write the accuracy page from the tracks of a run: every figure on it comes from them."""

from collections import defaultdict
from collections.abc import Sequence

from hegui.evaluation.run import Evaluation, Track
from hegui.evaluation.scoring import Tally, wilson

HEAD = """# Accuracy

Made by `make eval CORPUS="{folders}"`; do not edit. Pack `{pack}`, digest `{digest}`.

A corpus is a folder with `events.jsonl`, `expected.jsonl` (per interaction: `rules` that must be reported, `also_acceptable`
ones that may be) and, for the audio track, `audio/events.jsonl` with recordings. *Family* level counts rule families per
interaction, *rule* level single rules, *interaction* level whether anything required was found. *Lawful flagged* is the share of the
interactions that need no finding where something beyond the tolerated was reported. Intervals are 95% Wilson.

* **text, all rules**: transcripts as given, words and facts.
* **without the reader**: what the patterns find without the second reader (`docs/reading.md`), which may add reviews for words that
  no pattern covers and drop mere reviews that it does not believe. It learned from the seen cases of the corpora named there: the
  figures for these are upper bounds, those of unseen cases are not.
* **violations alone**: only what makes a contact fail; what asks a person for a review counts as not reported.
* **seen / unseen cases**: where a corpus says which mistakes nobody may read: the figures of either part.
* **text, words**: the rules that listen to words.
* **five-fold**: cases dealt into five folds; each is read by the pack without the phrases and words that occur in its violating
  texts and in no other fold's texts (whole patterns, branches of patterns and lexicon words of two characters and more), and by a
  reader trained anew without the fold's cases where the corpus takes part in its training.
* **keyword rules**: the rules that the baselines' keyword list (`hegui/evaluation/keywords.yaml`) covers, the same for all methods.
* **noise**: each Chinese character of the transcripts replaced with the probability named, in 70% of the cases by a homophone, in
  20% by a near sound (zh/z, n/l, ang/an …), else by any; mean of three seeds.
* **audio**: what the speech engine hears in the recordings; only recorded interactions.

A corpus that somebody tuned on says little about other words. Figures for a corpus that the rules' authors wrote themselves, or
worked with, are upper bounds.
"""


def accuracy_page(evaluation: Evaluation, folders: Sequence[str]) -> str:
    """The page as Markdown."""
    parts = [
        HEAD.format(
            folders=" ".join(folders),
            pack=evaluation.pack,
            digest=evaluation.pack_digest[:16],
        )
    ]
    by_corpus: dict[str, list[Track]] = defaultdict(list)
    for track in evaluation.tracks:
        by_corpus[track.corpus].append(track)
    for corpus, tracks in by_corpus.items():
        parts.append(f"\n## {corpus}\n")
        parts.append(_overview(tracks))
        parts += [f"\n{track.track}: {track.note}." for track in tracks if track.note]
        parts.append("\n### By rule (text, all rules)\n")
        parts.append(_by_rule(tracks[0]))
    return "\n".join(parts) + "\n"


def _overview(tracks: Sequence[Track]) -> str:
    rows = [
        "| track | method | family precision | family recall | rule precision | rule recall | interaction recall | lawful flagged |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Track]] = defaultdict(list)
    for track in tracks:
        groups[track.track.split(", seed")[0], track.method].append(track)
    for (label, method), group in groups.items():
        family = _sum([track.score.family for track in group])
        rule = _sum([track.score.rule for track in group])
        whole = _sum([track.score.interaction for track in group])
        rows.append(
            f"| {label} | {method} | {_precision(family)} | {_recall(family)} | "
            f"{_precision(rule)} | {_recall(rule)} | {_recall(whole)} | {_flagged(group, whole)} |"
        )
    return "\n".join(rows)


def _by_rule(track: Track) -> str:
    rows = ["| rule | found | missed | false alarms |", "|---|---|---|---|"]
    rows += [
        f"| {name} | {tally.tp} | {tally.fn} | {tally.fp} |"
        for name, tally in sorted(track.score.by_rule.items())
    ]
    return "\n".join(rows)


def _sum(tallies: Sequence[Tally]) -> Tally:
    return Tally(
        sum(tally.tp for tally in tallies),
        sum(tally.fp for tally in tallies),
        sum(tally.fn for tally in tallies),
    )


def _precision(tally: Tally) -> str:
    return _share(tally.precision, tally.tp, tally.tp + tally.fp)


def _recall(tally: Tally) -> str:
    return _share(tally.recall, tally.tp, tally.tp + tally.fn)


def _flagged(group: Sequence[Track], whole: Tally) -> str:
    lawful = sum(track.score.lawful for track in group)
    return _share(whole.fp / lawful if lawful else 0.0, whole.fp, lawful)


def _share(value: float, hits: int, total: int) -> str:
    if total == 0:
        return "–"
    low, high = wilson(hits, total)
    return f"{value:.3f} ({low:.2f}–{high:.2f}, n={total})"
