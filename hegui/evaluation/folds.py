"""Recall on unknown words: five folds, each read without the phrases that it alone holds."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources

import yaml

from hegui.evaluation.anew import Anew
from hegui.evaluation.baselines import collector_texts
from hegui.evaluation.corpus import Corpus
from rules import evaluate, parse
from rules.events import Interaction
from rules.history import build_histories
from rules.normalise import plain
from rules.reader import FILE as READER

FOLDS = 5
NEVER = "龘" * 6
"""Stands where a phrase was: characters that nobody says."""
SHORTEST = 2
"""Single characters are grammar rather than phrases, and stay."""

_LITERAL = re.compile(r"[\u3400-\u9fffA-Za-z0-9 ]+")
# Words under these keys make a rule hold back, so taking them out would not test what it finds.
_RESTRAINTS = frozenset({"unless", "absent", "not", "idioms", "tests"})
_SPEECH = frozenset({"words", "say", "lexicon", "lexicon+"})

Change = Callable[[str], str]


def pack_files(name: str = "collection") -> dict[str, str]:
    """The YAML texts of a pack that comes with the product, by file name."""
    folder = resources.files("rules").joinpath("packs", name)
    return {
        entry.name: entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }


def fold_of_cases(corpus: Corpus) -> dict[str, int]:
    """The fold of each case: cases in the order of their ids, dealt out like cards."""
    cases = sorted({event.data.case_id for event in corpus.events})
    return {case_id: place % FOLDS for place, case_id in enumerate(cases)}


def phrases(files: Mapping[str, str]) -> set[str]:
    """The literal phrases of a pack.

    Whole patterns and branches of patterns without gap, class or bracket, and lexicon words.
    """
    found: set[str] = set()
    for name, text in files.items():
        for node in _spoken_nodes(text) if name != READER else ():
            found.update(_branches(str(node.value)))
    return found


def without_phrases(files: Mapping[str, str], gone: Iterable[str]) -> dict[str, str]:
    """The same files with the phrases in `gone` put out of use."""
    unwanted = frozenset(gone)

    def change(phrase: str) -> str:
        return NEVER if _squeezed(phrase) in unwanted else phrase

    return {
        name: text if name == READER else _rewritten(text, change) for name, text in files.items()
    }


def held_out_phrases(files: Mapping[str, str], corpus: Corpus) -> list[set[str]]:
    """For each fold the phrases that its violating texts hold and no text of another fold does."""
    fold = fold_of_cases(corpus)
    violating = ["\n"] * FOLDS
    everything = ["\n"] * FOLDS
    for interaction in corpus.interactions():
        place = fold[interaction.case_id]
        everything[place] += _joined(_all_texts(interaction))
        expectation = corpus.expected.get(interaction.interaction_id)
        if expectation is not None and expectation.required:
            violating[place] += _joined(_own_texts(interaction))
    held: list[set[str]] = [set() for _ in range(FOLDS)]
    for phrase in phrases(files):
        said = plain(phrase)
        homes = [place for place in range(FOLDS) if said in everything[place]]
        if len(homes) == 1 and said in violating[homes[0]]:
            held[homes[0]].add(phrase)
    return held


def report_held_out(
    files: Mapping[str, str], corpus: Corpus, anew: Anew | None = None
) -> tuple[dict[str, set[str]], list[int]]:
    """The rules reported on each fold by the pack without the phrases that only this fold holds.

    Its second reader is trained anew without the cases of the fold, where it saw them. Returns
    them by interaction id, and how many phrases each fold lost.
    """
    fold = fold_of_cases(corpus)
    histories = build_histories(corpus.events, corpus.audio)
    found: dict[str, set[str]] = {}
    held = held_out_phrases(files, corpus)
    for place, gone in enumerate(held):
        cases = [case_id for case_id, number in fold.items() if number == place]
        kept = without_phrases(files, gone)
        pack = parse((anew or Anew(files)).files_without(kept, corpus, cases))
        for case_id, history in histories.items():
            if fold[case_id] == place:
                for verdict in evaluate(pack, history):
                    rules = {finding.rule for finding in verdict.findings}
                    found.setdefault(verdict.interaction_id, set()).update(rules)
    return found, [len(gone) for gone in held]


def _joined(texts: Iterable[str]) -> str:
    return "".join(f"{plain(text)}\n" for text in texts)


def _own_texts(interaction: Interaction) -> Iterator[str]:
    yield from collector_texts(interaction)
    if interaction.visit is not None and interaction.visit.notes:
        yield interaction.visit.notes


def _all_texts(interaction: Interaction) -> Iterator[str]:
    yield from (segment.text for segment in interaction.transcript or ())
    if interaction.text is not None:
        yield interaction.text
    if interaction.visit is not None and interaction.visit.notes:
        yield interaction.visit.notes


def _spoken_nodes(text: str) -> Iterator[yaml.ScalarNode]:
    """The scalars of a file that are patterns or lexicon words, in the order of the file."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is not None:
        # An alias leads to the same node again, hence by place.
        found = {scalar.start_mark.index: scalar for scalar in _scalars(node, spoken=False)}
        yield from (found[place] for place in sorted(found))


def _scalars(node: yaml.Node, *, spoken: bool) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        if spoken and node.style not in {"|", ">"}:
            yield node
    elif isinstance(node, yaml.SequenceNode):
        for member in node.value:
            yield from _scalars(member, spoken=spoken)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in _RESTRAINTS:
                continue
            inside = key.value in _SPEECH or (spoken and isinstance(value, yaml.SequenceNode))
            yield from _scalars(value, spoken=inside)


def _rewritten(text: str, change: Change) -> str:
    parts, at = [], 0
    for node in _spoken_nodes(text):
        old = str(node.value)
        new = _changed(old, change)
        if new != old:
            parts += [text[at : node.start_mark.index], json.dumps(new, ensure_ascii=False)]
            at = node.end_mark.index
    return "".join(parts) + text[at:]


def _branches(pattern: str) -> list[str]:
    found: list[str] = []

    def note(phrase: str) -> str:
        found.append(_squeezed(phrase))
        return phrase

    _changed(pattern, note)
    return found


def _changed(pattern: str, change: Change) -> str:
    """The pattern with each literal branch changed; what looks ahead or behind is left alone."""
    parts: list[str] = []
    looks: list[bool] = []
    branch = ""
    for char in pattern:
        if char not in "(|)":
            branch += char
            continue
        opens_look = char == "(" and branch.endswith(("!", "!<"))
        # Text before a bracket is no branch of its own: the bracket goes on with it.
        whole = char != "(" and _is_branch(parts)
        parts += [_settled(branch, change, free=whole and not any(looks)), char]
        branch = ""
        if char == "(":
            looks.append(opens_look or any(looks))
        elif char == ")" and looks:
            looks.pop()
    parts.append(_settled(branch, change, free=_is_branch(parts) and not any(looks)))
    return "".join(parts)


def _is_branch(parts: list[str]) -> bool:
    """Whether what follows begins a branch, rather than going on after a bracket."""
    return not parts or parts[-1] in {"(", "|"}


def _settled(branch: str, change: Change, *, free: bool) -> str:
    literal = _LITERAL.fullmatch(branch) is not None
    if free and literal and len(_squeezed(branch)) >= SHORTEST:
        return change(branch)
    return branch


def _squeezed(phrase: str) -> str:
    return phrase.replace(" ", "")
