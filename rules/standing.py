"""Which findings stand in a transcript with mishearings, and which a person must look at.

A denial, a question or another's name may be what was misheard, and then nothing in the words of a
match tells a threat from talk about it. So in a shaky transcript one sign alone asks for a review;
two signs apart from each other, or many words with nothing misheard about them, stand. What was
not heard there may have been said.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from rules.events import Case, Interaction, Speaker
from rules.legible import LEAD, RARE, is_odd
from rules.misheard import misheard
from rules.model import Disposition, Finding

SHARE = 200
"""A transcript is shaky where more than one character in so many was probably misheard."""

MANY = 8
"""Characters, all as written, that stand alone where nothing near them was misheard."""

AROUND = 24
"""Characters round a match that must be legible for that."""

SIGNS = 2
"""Findings apart from each other that hold one another up."""

SURE_SOUND = 0.85
"""A match by sound that is less sure than this does not stand alone."""

Word = tuple[int, int, int, str]
"""Segment, first and last character (exclusive) of a word that a match stands on, and the word."""


def settled(
    found: Sequence[Finding],
    interaction: Interaction,
    cases: Iterable[Case],
    *,
    missing: Collection[str],
    words: Callable[[], Iterable[Word]],
) -> list[Finding]:
    """The findings; for review those that so weak evidence in a doubtful transcript cannot carry.

    `missing` are the rules on words that were not said; `words` tells the words of all matches.
    """
    blamed = [finding for finding in found if finding.disposition is Disposition.VIOLATION]
    unheard = [f for f in blamed if f.segment is None and f.rule in missing]
    heard = [f for f in blamed if f.speaker is not None]
    if interaction.transcript is None or not (heard or unheard):
        return list(found)
    reading = _Reading(interaction, cases, tuple(words()))
    weak = unheard if reading.is_shaky(names=True) else []
    if not _held_up(found):
        exact = any(finding.match == "exact" for finding in heard)
        weak = weak + [finding for finding in heard if not reading.bears(finding, exact=exact)]
    return [
        replace(finding, disposition=Disposition.REVIEW)
        if any(finding is one for one in weak)
        else finding
        for finding in found
    ]


def _held_up(found: Sequence[Finding]) -> bool:
    """Whether findings stand on several stretches of words, apart from each other."""
    spans = sorted(
        (f.segment, f.char_start or 0, f.char_end or 0)
        for f in found
        if f.segment is not None and f.disposition is not Disposition.SIGNAL
    )
    count, last, high = 0, -1, 0
    for segment, start, end in spans:
        if segment != last or start > high:
            count += 1
            last, high = segment, end
        high = max(high, end)
    return count >= SIGNS


class _Reading:
    """What is certain of the words of a contact."""

    def __init__(
        self, interaction: Interaction, cases: Iterable[Case], words: Sequence[Word]
    ) -> None:
        self._spoken, self._words = interaction.transcript or (), words
        self._marks = self._misheard(_known_names(interaction, cases))
        self._shaky = self.is_shaky(names=False)

    def _misheard(self, names: str) -> dict[int, dict[int, bool]]:
        """Where the collector's words were probably misheard by segment; True: or a name is there.

        Characters of known names are no sign of it, nor those that a match takes as they stand.
        """
        meant = {
            (segment, at)
            for segment, start, end, word in self._words
            if self._spoken[segment].text[start:end] == word
            for at in range(start, end)
        }
        return {
            n: {
                at: named
                for at, named in misheard(segment.text)
                if segment.text[at] not in names and (n, at) not in meant
            }
            for n, segment in enumerate(self._spoken)
            if segment.speaker is Speaker.COLLECTOR
        }

    def is_shaky(self, *, names: bool) -> bool:
        """Whether so much was misheard that what matters may be, too.

        With `names`, several characters tell of it that may be a name's.
        """
        size = sum(len(self._spoken[n].text) for n in self._marks)
        marks = [named for n in self._marks for named in self._marks[n].values()]
        count = marks.count(False)
        if names and len(marks) >= SIGNS:
            count = len(marks)
        return SHARE * count > size

    def bears(self, finding: Finding, *, exact: bool) -> bool:
        """Whether a finding stands alone; `exact`: or beside one whose words are as written."""
        if finding.match == "exact":
            return not self._shaky or self._is_plain(finding)
        return not self._shaky and (exact or finding.confidence >= SURE_SOUND)

    def _is_plain(self, finding: Finding) -> bool:
        """Whether it stands on many characters, and all about them are legible."""
        start, end, segment = finding.char_start or 0, finding.char_end or 0, finding.segment or 0
        text = self._spoken[segment].text
        low, high = max(0, start - AROUND), min(len(text), end + AROUND)
        marked = any(low <= at < high for at in self._marks.get(segment, {}))
        odd = is_odd(text[low:high]) or is_odd(text[max(0, start - LEAD) : start], RARE)
        written = {
            at
            for n, a, b, word in self._words
            if n == segment and start <= a and b <= end and text[a:b] == word
            for at in range(a, b)
        }
        return len(written) >= MANY and not marked and not odd


def _known_names(interaction: Interaction, cases: Iterable[Case]) -> str:
    """Characters of the names that the records hold, which the dictionary does not know."""
    collector = interaction.collector
    names = [collector.org, collector.name]
    for case in cases:
        names += [*case.payment_channels, case.debtor.name]
        names += [person.name for person in case.contacts]
        names += [person.name for person in case.guarantors]
    return "".join(sorted(set("".join(filter(None, names)))))
