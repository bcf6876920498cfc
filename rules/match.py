"""Find patterns in a text: two passes of automata, then regular expressions round what they found."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import daachorse
import rjieba

from rules.compile import SHORT, Compiled, near_variants, triggers
from rules.grammar import Builtin
from rules.normalise import BREAKS, TURN
from rules.numbers import is_builtin, masked, number_spans
from rules.phonetic import distance, readings

MAX_HITS = 200
"""Hits of one pattern in one text after which it is no longer searched for."""

FEW_SEEDS = 2
"""With more seeds than this the whole text is searched at once."""

NEAR, WRONG = 0.5, 1.0
EVERYDAY = frozenset(
    "的得地了是在我你您他她它们这那有不就也都要会能可以和与跟对把被让给到去来上下里说想着过吧吗呢嘛很太再又还没别请好行先后多少大小"
    "一二三四五六七八九十两几个位天号月年点分块元万千百钱款人事家话看问做用为从因所但如果只最更已将该或者谁哪怎么什名叫找打等"
)
"""Characters that stand alone so often that hearing one explains itself."""

REPAIRABLE, STRETCHABLE, LONG = 4, 5, 6
"""Syllables from which a word survives a wrong syllable, a missing one; and from which a match is long."""


@dataclass(frozen=True, slots=True)
class Match:
    """A pattern found: `start` and `end` in the normal form, words with their own spans."""

    pattern: Compiled
    start: int
    end: int
    words: tuple[tuple[int, int, str], ...]
    cost: float
    exact: bool
    quote: str

    @property
    def syllables(self) -> int:
        """Characters of the words that matched, gaps left out."""
        return sum(len(word) for _, _, word in self.words)


@dataclass(frozen=True, slots=True)
class _Repair:
    """If this part of a word is heard, the whole word may have been meant."""

    pattern: int
    meant: str
    offset: int


@dataclass(frozen=True, slots=True)
class _Load:
    """What one trigger string sets off."""

    patterns: tuple[int, ...]
    repairs: tuple[_Repair, ...]


class _Passes:
    """One automaton and what its strings set off."""

    def __init__(self, plan: dict[str, tuple[set[int], set[_Repair]]]) -> None:
        ordered = sorted(plan)
        self.loads = tuple(
            _Load(
                tuple(sorted(plan[text][0])),
                tuple(sorted(plan[text][1], key=lambda r: (r.pattern, r.meant, r.offset))),
            )
            for text in ordered
        )
        self.automaton = daachorse.CharwiseDoubleArrayAhoCorasick(ordered) if ordered else None

    def find(self, text: str) -> Iterable[tuple[int, int, _Load]]:
        if self.automaton is None:
            return ()
        loads = self.loads
        return [(a, b, loads[n]) for a, b, n in self.automaton.find_overlapping(text)]


class Matcher:
    """All patterns of one speaker, ready to be found in texts."""

    def __init__(self, patterns: Sequence[Compiled]) -> None:
        self.patterns = tuple(patterns)
        self.members: dict[int, list[int]] = defaultdict(list)
        characters: dict[str, tuple[set[int], set[_Repair]]] = defaultdict(lambda: (set(), set()))
        syllables: dict[str, tuple[set[int], set[_Repair]]] = defaultdict(lambda: (set(), set()))
        for n, pattern in enumerate(self.patterns):
            self.members[pattern.condition].append(n)
            first, others = triggers(pattern)
            for word in first:
                if not pattern.style.phonetic or len(word) == 1:
                    characters[word][0].add(n)
                else:
                    _plan_sound(n, word, syllables)
            for word in others if pattern.style.phonetic else ():
                for code in readings(word):
                    syllables[code][0].add(n)
        self._characters = _Passes(characters)
        self._syllables = _Passes(syllables)

    def scan(self, text: str, codes: str) -> "Scan":
        """Run both automata over a normal-form text and its code string, once.

        Both start and end with a turn break, and turns are parted by them.
        """
        seeds: dict[int, list[int]] = defaultdict(list)
        repairs: dict[int, list[tuple[int, _Repair]]] = defaultdict(list)
        for start, _, load in self._characters.find(text):
            for n in load.patterns:
                seeds[n].append(start)
        for start, _, load in self._syllables.find(codes):
            for n in load.patterns:
                seeds[n].append(start)
            for repair in load.repairs:
                repairs[repair.pattern].append((start - repair.offset, repair))
        return Scan(self, text, codes, seeds, repairs)


class Scan:
    """What the automata set off in one text; patterns are searched for when their condition is asked for."""

    def __init__(
        self,
        matcher: Matcher,
        text: str,
        codes: str,
        seeds: dict[int, list[int]],
        repairs: dict[int, list[tuple[int, _Repair]]],
    ) -> None:
        self._matcher, self._seeds, self._repairs = matcher, seeds, repairs
        self._search = _Search(matcher.patterns, text, codes)

    def matches(self, condition: int) -> list[Match]:
        """The matches of a condition's patterns, by place and then by pattern."""
        found: list[Match] = []
        for n in self._matcher.members.get(condition, ()):
            if n in self._seeds or n in self._repairs:
                found += self._search.all_of(n, self._seeds.get(n, ()), self._repairs.get(n, ()))
        return sorted(found, key=lambda m: (m.start, m.end, m.pattern.entry, m.cost, m.quote))


def _plan_sound(
    n: int, word: str, syllables: dict[str, tuple[set[int], set[_Repair]]]
) -> None:
    """Plan the triggers of a word by sound: itself, its near variants, and parts of three and more syllables."""
    for code in readings(word):
        syllables[code][0].add(n)
        length = len(code)
        if length == SHORT:
            for variant in near_variants(code):
                syllables[variant][1].add(_Repair(n, code, 0))
        elif length >= REPAIRABLE:
            part = max(SHORT, (length + 1) // 2)
            syllables[code[:part]][1].add(_Repair(n, code, 0))
            syllables[code[-part:]][1].add(_Repair(n, code, length - part))


class _Search:
    """The search of one text for the patterns that were triggered in it."""

    def __init__(self, patterns: Sequence[Compiled], text: str, codes: str) -> None:
        self.patterns, self.text, self.codes = patterns, text, codes
        self.found: dict[tuple[int, int], Match] = {}
        self._turns: list[int] | None = None
        self._masked: tuple[str, str] | None = None

    def fields(self, pattern: Compiled) -> tuple[str, str]:
        """The text and the codes that a pattern is searched in."""
        if not pattern.numeric:
            return self.text, self.codes
        if self._masked is None:
            spans = number_spans(self.text)
            self._masked = masked(self.text, spans), masked(self.codes, spans)
        return self._masked

    def all_of(
        self, n: int, seeds: Sequence[int], repairs: Sequence[tuple[int, _Repair]]
    ) -> list[Match]:
        """All matches of one pattern round its seeds and damaged words."""
        self.found = {}
        pattern = self.patterns[n]
        if seeds:
            self.look(pattern, seeds)
        for start, repair in sorted(set(repairs), key=lambda item: (item[0], item[1].meant)):
            if len(self.found) < MAX_HITS:
                self.mend(pattern, start, repair.meant, stretch=not repair.offset)
        return list(self.found.values())

    def bounds(self, at: int) -> tuple[int, int]:
        """Where the turn round this place begins (its break) and ends (after its break)."""
        if self._turns is None:
            self._turns = [i for i, char in enumerate(self.text) if char == TURN]
        n = bisect_right(self._turns, at)
        high = self._turns[n] + 1 if n < len(self._turns) else len(self.text)
        return self._turns[n - 1] if n else 0, high

    def regions(self, pattern: Compiled, seeds: Sequence[int]) -> list[tuple[int, int]]:
        """Stretches round the seeds that one search each must cover; they do not overlap."""
        if len(seeds) > FEW_SEEDS:
            return [(0, len(self.text))]
        merged: list[tuple[int, int]] = []
        reach = pattern.reach
        for start in sorted(seeds):
            low, high = self.bounds(start)
            low, high = max(low, start - reach), min(high, start + reach)
            if merged and low < merged[-1][1]:
                merged[-1] = merged[-1][0], max(merged[-1][1], high)
            else:
                merged.append((low, high))
        return merged

    def look(self, pattern: Compiled, seeds: Sequence[int]) -> None:
        """Search round the seeds of one pattern, by characters and then by sound."""
        text, codes = self.fields(pattern)
        for low, high in self.regions(pattern, seeds):
            if len(self.found) >= MAX_HITS:
                return
            taken = []
            for found in pattern.by_characters.finditer(text, low, high):
                self.keep(_exact(pattern, found, self.text))
                taken.append(found.span())
            if pattern.may_sound:
                for found in pattern.by_sound.finditer(codes, low, high):
                    if not any(a < found.end() and found.start() < b for a, b in taken):
                        self.keep(_heard(pattern, found, self.text, self.codes))

    def mend(self, pattern: Compiled, start: int, meant: str, *, stretch: bool) -> None:
        """Put the word that may have been meant in its place, and search there by sound."""
        length = len(meant)
        if start < 0:
            return
        codes = self.fields(pattern)[1]
        for end in _damage(self.codes, start, meant, stretch=stretch):
            low, high = self.bounds(start)
            low, high = max(low, start - pattern.reach), min(high, end + pattern.reach)
            if end > high:
                continue
            mended = codes[low:start] + meant + codes[end:high]
            for found in pattern.by_sound.finditer(mended):
                if found.start() <= start - low and found.end() >= start - low + length:
                    heard = _Mended(found, low, start - low + length, end - start - length)
                    self.keep(_repaired(pattern, heard, self.text, self.codes))

    def keep(self, match: Match | None) -> None:
        """Remember a match; of two at one place the cheaper one stays."""
        if match is None:
            return
        held = self.found.get((match.start, match.end))
        if held is None or match.cost < held.cost:
            self.found[match.start, match.end] = match


@dataclass(frozen=True, slots=True)
class _Mended:
    """A find in a mended stretch: how its places map back to the text."""

    found: "re.Match[str]"
    low: int
    end: int
    shift: int

    def back(self, at: int) -> int:
        return self.low + at + (self.shift if at >= self.end else 0)


def _damage(codes: str, start: int, meant: str, *, stretch: bool) -> list[int]:
    """Where the damaged word may end; empty where the damage is too great or none."""
    length = len(meant)
    heard = codes[start : start + length]
    if len(heard) == length:
        wrong = [pair for pair in zip(heard, meant, strict=True) if pair[0] != pair[1]]
        if not wrong:
            return []
        if len(wrong) == 1 or (len(wrong) == 2 and sum(distance(*pair) for pair in wrong) <= WRONG):  # noqa: PLR2004
            return [] if any(pair[0] in BREAKS for pair in wrong) else [start + length]
    if length < STRETCHABLE or not stretch:
        return []
    for size in (length - 1, length + 1):
        piece = codes[start : start + size]
        if len(piece) == size and not _broken(piece) and _one_apart(piece, meant):
            return [start + size]
    return []


def _price(
    heard: str, mended: str, sounds: dict[int, tuple[tuple[str, str], ...]]
) -> tuple[float, str, int]:
    """What it costs to have heard a word as it was heard, the word most likely meant, and syllables off."""
    same_length = len(heard) == len(mended)
    best = (2.0 * len(mended), "", len(mended))
    for meant, word in sounds[len(mended)]:
        if meant == mended and not same_length:
            return WRONG, word, 1
        if same_length:
            off = [pair for pair in zip(heard, meant, strict=True) if pair[0] != pair[1]]
            if not off:
                return 0.0, word, 0
            if len(off) <= best[0]:
                best = min(best, (sum(distance(*pair) for pair in off), word, len(off)))
    return best if same_length else (WRONG, best[1] or heard, 1)


def _broken(piece: str) -> bool:
    return any(char in piece for char in BREAKS)


def _one_apart(heard: str, meant: str) -> bool:
    """Whether one inserted or missing syllable is all the difference."""
    longer, shorter = (heard, meant) if len(heard) > len(meant) else (meant, heard)
    at = next((i for i, (a, b) in enumerate(zip(longer, shorter, strict=False)) if a != b), len(shorter))
    return 0 < at < len(shorter) and longer[at + 1 :] == shorter[at:]


def _exact(pattern: Compiled, found: "re.Match[str]", text: str) -> Match | None:
    words: list[tuple[int, int, str]] = []
    for g, item in enumerate(pattern.groups, start=1):
        start, end = found.span(g)
        if start < end:
            if isinstance(item, Builtin) and not is_builtin(item.name, text[start:end]):
                return None
            words.append((start, end, text[start:end]))
    start, end = found.span()
    return Match(pattern, start, end, tuple(words), 0.0, exact=True, quote=text[start:end])


def _heard(pattern: Compiled, found: "re.Match[str]", text: str, codes: str) -> Match | None:
    return _repaired(pattern, _Mended(found, 0, len(codes) + 1, 0), text, codes)


def _repaired(pattern: Compiled, heard: _Mended, text: str, codes: str) -> Match | None:
    """A match by sound, if what it costs is within what its length allows."""
    cost = 0.0
    words: list[tuple[int, int, str]] = []
    prices: list[list[tuple[int, float, bool]]] = []
    wrong = 0
    found = heard.found
    for g, item in enumerate(pattern.groups, start=1):
        if not found[g]:
            continue
        start, end = found.span(g)
        a, b = heard.back(start), heard.back(end)
        if isinstance(item, Builtin):
            if not is_builtin(item.name, text[a:b]):
                return None
            words.append((a, b, text[a:b]))
            prices.append([])
            continue
        price, word, off = _price(codes[a:b], found[g], pattern.sounds[g - 1])
        cost += price
        wrong += off
        if words and words[-1][1] == a:
            prices[-1].append((len(word), price, text[a:b] == word))
        else:
            prices.append([(len(word), price, text[a:b] == word)])
        words.append((a, b, word))
    match = Match(
        pattern, heard.back(found.start()), heard.back(found.end()), tuple(words), cost,
        exact=False, quote="",
    )  # fmt: skip
    if not _bearable(prices):
        return None
    if cost > allowed(match.syllables, wrong, strong=pattern.style.strong) or _ordinary(match, text):
        return None
    return Match(pattern, match.start, match.end, match.words, cost, exact=False, quote=_quote(match, text))


def _bearable(stretches: Sequence[Sequence[tuple[int, float, bool]]]) -> bool:
    """Whether all words (length, cost, same characters) may have been meant.

    Words without a gap between them hold one another up; a short word alone must be heard well.
    """
    syllables = sum(length for words in stretches for length, _, _ in words)
    cost = sum(price for words in stretches for _, price, _ in words)
    for words in stretches:
        together = sum(length for length, _, _ in words)
        for length, price, same in words:
            if together == 1 and not same and (syllables < LONG or cost):
                return False
            if price > _limit(length, together, syllables):
                return False
    return True


def _limit(length: int, together: int, syllables: int) -> float:
    """What one word may cost: a short word that is not there is no word at all."""
    if together <= 2:  # noqa: PLR2004
        return NEAR if syllables >= LONG and length == 2 else 0.0  # noqa: PLR2004
    if length == 1:
        return NEAR
    if length == 2:  # noqa: PLR2004
        return NEAR if together < STRETCHABLE else WRONG
    if length == SHORT:
        return NEAR if together < REPAIRABLE else WRONG
    return WRONG if length <= STRETCHABLE else WRONG + NEAR


def allowed(syllables: int, wrong: int, *, strong: bool) -> float:
    """What a match of so many syllables, so many of them not as meant, may cost; -1: none at all."""
    if syllables < SHORT:
        return 0.0 if strong else -1.0
    if syllables == SHORT:
        return 0.0
    if syllables < STRETCHABLE:
        return WRONG if wrong == 1 else NEAR
    if syllables <= LONG:
        return WRONG
    return WRONG + NEAR if syllables < 10 else 2 * WRONG  # noqa: PLR2004


def _quote(match: Match, text: str) -> str:
    """What was meant: the words of the pattern, and between them what was heard."""
    parts: list[str] = []
    at = match.start
    for start, end, word in match.words:
        parts += [text[at:start], word]
        at = end
    return "".join(parts) + text[at : match.end]


def _ordinary(match: Match, text: str) -> bool:
    """Whether some stretch of words makes good sense as it was heard, so that nothing else was meant."""
    explained: set[int] | None = None
    for chunk in _stretches(match):
        wrong = [
            start + i
            for start, end, word in chunk
            for i in range(end - start)
            if i >= len(word) or text[start + i] != word[i]
        ]
        if not wrong:
            continue
        if explained is None:
            explained = _explained(match, text)
        length = sum(end - start for start, end, _ in chunk)
        slip = length >= REPAIRABLE and 3 * len(wrong) <= length and match.cost == 0
        if all(place in explained for place in wrong) and not slip:
            return True
    return False


def _stretches(match: Match) -> list[list[tuple[int, int, str]]]:
    """The words of a match, those without a gap between them together."""
    found: list[list[tuple[int, int, str]]] = []
    for word in match.words:
        if found and found[-1][-1][1] == word[0]:
            found[-1].append(word)
        else:
            found.append([word])
    return found


def _explained(match: Match, text: str) -> set[int]:
    """Places round a match whose characters belong to a word of the dictionary or are everyday words."""
    low = max(text.rfind(mark, 0, match.start) for mark in BREAKS) + 1
    low = max(low, match.start - 8)
    ends = [at for mark in BREAKS if (at := text.find(mark, match.end, match.end + 8)) >= 0]
    found: set[int] = set()
    at = low
    for token in rjieba.cut(text[low : min([*ends, match.end + 8])], False):  # noqa: FBT003  no guesses
        if (len(token) > 1 and not _respelt(at, token, match)) or token in EVERYDAY:
            found.update(range(at, at + len(token)))
        at += len(token)
    return found


def _respelt(at: int, token: str, match: Match) -> bool:
    """Whether a longer word is a word of the pattern with one character written otherwise."""
    for start, end, word in match.words:
        if len(token) >= SHORT and start <= at and at + len(token) <= end and end - start == len(word):
            meant = word[at - start : at - start + len(token)]
            return sum(a != b for a, b in zip(token, meant, strict=True)) == 1
    return False
