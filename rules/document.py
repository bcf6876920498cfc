"""The words of one contact: turns, normal form, syllable codes, the way back to the raw text."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from operator import attrgetter, gt
from typing import NamedTuple

from rules.context import Span
from rules.events import Interaction, Segment, Speaker
from rules.field import Field
from rules.normalise import SEGMENT_JOINT, TURN, TURN_JOINT, normalise
from rules.phonetic import Echo, encode


class Voice(StrEnum):
    """Whose words a pattern is searched in; `log` is what a visit's notes say."""

    COLLECTOR = "collector"
    PARTY = "party"
    LOG = "log"


SPEAKERS: dict[Voice, tuple[Speaker, ...]] = {
    Voice.COLLECTOR: (Speaker.COLLECTOR, Speaker.UNKNOWN),
    Voice.PARTY: (Speaker.PARTY,),
    Voice.LOG: (),
}
"""Whose turns count for a voice; what an unknown speaker said is for review only."""


class _Piece(NamedTuple):
    """One segment as it lies in the joined raw text."""

    segment: int
    start: int
    turn: int


Turns = Sequence[tuple[int, Sequence[tuple[int, Segment]]]]
"""Turns by number, each with its segments by number."""


class Side:
    """The turns of one speaker, joined: `text` and `codes` begin and end with a turn break."""

    def __init__(self, turns: Turns) -> None:
        raw: list[str] = [TURN_JOINT]
        self.pieces: list[tuple[int, int]] = []
        self._piece_starts: list[int] = []
        at = 1  # both joints are one character
        for turn, segments in turns:
            for index, segment in segments:
                text = segment.text
                self.pieces.append((index, turn))
                self._piece_starts.append(at)
                raw += text, SEGMENT_JOINT
                at += len(text) + 1
            raw[-1] = TURN_JOINT
        self.raw = "".join(raw)
        self.text, self._starts, self._ends = normalise(self.raw)
        self.codes = encode(self.text)

    @cached_property
    def field(self) -> Field:
        """The text and its codes, for the compiled search."""
        return Field(self.text, self.codes)

    @cached_property
    def echo(self) -> Echo:
        """The codes, for needles that are looked for one by one."""
        return Echo(self.codes)

    def raw_at(self, place: int) -> int:
        """Where a character of the normal form starts in the joined raw text."""
        return self._starts[place]

    def piece_at(self, place: int) -> _Piece:
        """The segment that a character of the normal form belongs to."""
        return self._piece(max(0, bisect_right(self._piece_starts, self.raw_at(place)) - 1))

    def _piece(self, number: int) -> _Piece:
        segment, turn = self.pieces[number]
        return _Piece(segment, self._piece_starts[number], turn)

    def stretches(self) -> list[tuple[int, int]]:
        """Start and end of each piece in the normal form."""
        cuts = [bisect_left(self._starts, start) for start in self._piece_starts]
        return list(pairwise((*cuts, len(self.text))))

    def turn_span(self, place: int) -> tuple[int, int]:
        """Start and end of the turn round a place of the normal form, its breaks left out."""
        text = self.text
        end = text.find(TURN, place)
        return text.rfind(TURN, 0, place + 1) + 1, len(text) if end < 0 else end

    def turn_of(self, start: int, end: int) -> int:
        """The turn that holds most of a stretch."""
        pieces, starts = self.pieces, self._piece_starts
        first = bisect_right(starts, self._starts[start]) - 1
        if first >= 0 and bisect_right(starts, self._starts[end - 1], first) - 1 == first:
            return pieces[first][1]
        return self.raw_span(start, end)[0].turn

    def raw_span(self, start: int, end: int) -> tuple[_Piece, int, int]:
        """The segment that holds most of a stretch, and its part there in raw characters."""
        first, last = self._starts[start], self._starts[end - 1]
        owner = bisect_right(self._piece_starts, first) - 1
        if owner >= 0 and bisect_right(self._piece_starts, last, owner) - 1 == owner:
            piece = self._piece(owner)
            return piece, first - piece.start, self._ends[end - 1] - piece.start
        starts, ends = self._starts[start:end], self._ends[start:end]
        owners = [bisect_right(self._piece_starts, at) - 1 for at in starts]
        best = max(dict.fromkeys(owners), key=lambda n: (owners.count(n), -n))
        first, last = owners.index(best), len(owners) - 1 - owners[::-1].index(best)
        piece = self._piece(best)
        return piece, starts[first] - piece.start, ends[last] - piece.start


class Document:
    """A contact as the matcher sees it."""

    def __init__(self, interaction: Interaction) -> None:
        self.segments = _segments(interaction)
        order: list[tuple[int, Segment]] = list(enumerate(self.segments))
        begins = [segment.start for segment in self.segments]
        if any(map(gt, begins, begins[1:])):
            order.sort(key=_begins)
        runs: list[list[tuple[int, Segment]]] = []
        speaker: Speaker | None = None
        for numbered in order:
            if numbered[1].speaker is not speaker:
                speaker = numbered[1].speaker
                runs.append([])
            runs[-1].append(numbered)
        self.runs: tuple[tuple[tuple[int, Segment], ...], ...] = tuple(map(tuple, runs))
        self._sides: dict[Voice, Side] = {}
        self._own: dict[Voice, list[int]] = {}
        notes = interaction.visit.notes if interaction.visit else None
        self.notes = _written(Speaker.UNKNOWN, notes) if notes else None

    def side(self, voice: Voice) -> Side:
        """The turns that count for this voice, joined."""
        if voice not in self._sides:
            if voice is Voice.LOG:
                turns: Turns = [(0, ((0, self.notes),))] if self.notes else []
            else:
                turns = [(n, self.runs[n]) for n in self.own_turns(voice)]
            self._sides[voice] = Side(turns)
        return self._sides[voice]

    def speaks(self, voice: Voice) -> bool:
        """Whether there are any words of this voice."""
        return bool(self.own_turns(voice)) if SPEAKERS[voice] else self.notes is not None

    def own_turns(self, voice: Voice) -> list[int]:
        """Indexes of the turns of a voice, in order."""
        if voice not in self._own:
            wanted = SPEAKERS[voice]
            self._own[voice] = [n for n, run in enumerate(self.runs) if run[0][1].speaker in wanted]
        return self._own[voice]

    def span(self, voice: Voice, start: int, end: int) -> Span:
        """The span of a stretch of the normal form of a side, in raw characters and seconds."""
        piece, char_start, char_end = self.side(voice).raw_span(start, end)
        log = voice is Voice.LOG and self.notes is not None
        segment = self.notes if log and self.notes else self.segments[piece.segment]
        heard = segment.text[char_start:char_end]
        length, width = max(1, len(segment.text)), segment.end - segment.start
        timed = not log and width > 0
        return Span(
            piece.segment,
            char_start,
            char_end,
            heard,
            heard,
            None if log else segment.speaker,
            piece.turn,
            round(segment.start + width * char_start / length, 2) if timed else None,
            round(segment.start + width * char_end / length, 2) if timed else None,
            trusted=segment.trusted,
            biased=not log and self._is_biased(voice, start, end),
        )

    @cached_property
    def _holds_bias(self) -> bool:
        return any(map(_biased, self.segments))

    def _is_biased(self, voice: Voice, start: int, end: int) -> bool:
        """Whether any segment under a stretch was heard only with the lender's bias."""
        if not self._holds_bias:
            return False
        side = self.side(voice)
        return any(
            self.segments[side.piece_at(place).segment].biased for place in range(start, end)
        )


_biased = attrgetter("biased")


def _begins(numbered: tuple[int, Segment]) -> float:
    return numbered[1].start


def _segments(interaction: Interaction) -> tuple[Segment, ...]:
    """What was said or written; a written body is one segment of its writer."""
    if interaction.transcript is not None:
        return interaction.transcript
    if interaction.text is None:
        return ()
    inbound = interaction.direction == "inbound"
    return (_written(Speaker.PARTY if inbound else Speaker.COLLECTOR, interaction.text),)


def _written(speaker: Speaker, text: str) -> Segment:
    return Segment.model_construct(speaker=speaker, start=0.0, end=0.0, text=text)
