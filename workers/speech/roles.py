"""Says who speaks: checks the event's map of the channels against the words, names voices by them.

A seat is where somebody sits in a recording: a channel, and a voice on it. The words of two seats
give a lead, the log odds that the first is the collector's; a recording whose map says otherwise
by a clear lead was wired the wrong way round.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rules.events import Speaker
from workers.speech.role_words import leaning

Seat = tuple[int, int]
Texts = Mapping[Seat, Sequence[str]]

# Collectors talk more, open with a long sentence, and say 你 where the others say 我.
LONGER, LONGER_OPENING, ADDRESSING = 1.5, 0.7, 2.0
MOST_LONGER, MOST_LONGER_OPENING = 1.5, 2.0
YOU = re.compile("[你您](?!们)")
ME = re.compile("我(?!们)")
# The words of a call prove less than their sum, because each cue drags others along.
LEAD_A_NEPER = 2.5
SURE = 0.8
DOUBTFUL_LEAD, CLEAR_LEAD, CERTAIN_LEAD = 2.0, 4.0, 8.0
DOUBTFUL_SCORE, CLEAR_SCORE, CERTAIN_SCORE = 0.5, 0.7, 0.9
TWO = 2


@dataclass(frozen=True)
class Shared:
    """A channel on which everybody speaks; `voices` were told apart there (0: nobody tried).

    `sure` (0 to 1) is how sure it is that there are two at all; `owner` is the only speaker that
    the event's map has for it.
    """

    channel: int
    owner: str | None = None
    voices: int = 0
    sure: float = 0.0


@dataclass(frozen=True)
class Roles:
    """The speaker of each seat, how sure that is (0 to 1), and what was found on the way.

    Flags: `swapped_channels` (put right), `mono_turns` (voices of one channel were told apart),
    `many_voices` (more than two there), `uneven_channels` (not as many as the map has), and
    `uncertain_roles` (some score is too low for a violation).
    """

    seats: Mapping[Seat, tuple[Speaker, float]] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    def at(self, channel: int, voice: int) -> tuple[Speaker, float]:
        """Return the speaker of a seat and how sure that is; nobody knows an unlisted seat."""
        return self.seats.get((channel, voice), (Speaker.UNKNOWN, 0.0))


def assign_roles(
    texts: Texts, *, channels: int, speakers: Sequence[str], shared: Shared | None = None
) -> Roles:
    """Give every seat its speaker, from the map of the event and from what was said.

    `texts` holds the trusted lines of each seat in time order; `speakers` is the map, an entry a
    channel. Where one channel holds everybody, only the words can name the voices.
    """
    named = tuple(Speaker(name) for name in speakers)
    if shared is not None:
        return _on_one_channel(texts, shared)
    if channels != len(named):
        return _uneven(named, channels, texts)
    if channels == TWO and Speaker.UNKNOWN in named:
        return _by_words(texts, ((0, 0), (1, 0)))
    if channels == TWO and set(named) == {Speaker.COLLECTOR, Speaker.PARTY}:
        return _checked(named, texts)
    return _as_mapped(named)


def lead(first: Sequence[str], second: Sequence[str]) -> float:
    """Return how much more the first seat sounds like the collector's than the second."""
    one, two = "。".join((*first, "")), "。".join((*second, ""))
    longer = _clipped(math.log((len(one) + 5) / (len(two) + 5)), MOST_LONGER)
    openings = [len(lines[0]) if lines else 0 for lines in (first, second)]
    opening = _clipped(math.log((openings[0] + 3) / (openings[1] + 3)), MOST_LONGER_OPENING)
    return (
        leaning(one)
        - leaning(two)
        + LONGER * longer
        + LONGER_OPENING * opening
        + ADDRESSING * (_addressing(one) - _addressing(two))
    )


def _clipped(value: float, most: float) -> float:
    return max(-most, min(most, value))


def _addressing(text: str) -> float:
    """Return how much more a text speaks of 你 than of 我 (-1 to 1)."""
    you, me = len(YOU.findall(text)), len(ME.findall(text))
    return (you - me) / (you + me + 2)


def _on_one_channel(texts: Texts, shared: Shared) -> Roles:
    if shared.voices < TWO:
        if shared.owner is None:
            return Roles(flags=("uncertain_roles",))
        return Roles({(shared.channel, 0): (Speaker(shared.owner), 1.0)})
    found = _by_words(texts, ((shared.channel, 0), (shared.channel, 1)))
    if shared.voices == TWO:
        return Roles(found.seats, ("mono_turns", *found.flags))
    # A third voice sits with one of the two: no turn is surely its own.
    doubted = {
        seat: (speaker, min(score, DOUBTFUL_SCORE))
        for seat, (speaker, score) in found.seats.items()
    }
    return Roles(doubted, ("mono_turns", "many_voices", "uncertain_roles"))


def _by_words(texts: Texts, seats: tuple[Seat, Seat]) -> Roles:
    """Name two seats by nothing but their words."""
    ahead = lead(texts.get(seats[0], ()), texts.get(seats[1], ()))
    score = 1 / (1 + math.exp(-abs(ahead) / LEAD_A_NEPER))
    names = (Speaker.COLLECTOR, Speaker.PARTY) if ahead >= 0 else (Speaker.PARTY, Speaker.COLLECTOR)
    found = {seat: (name, score) for seat, name in zip(seats, names, strict=True)}
    return Roles(found, () if score >= SURE else ("uncertain_roles",))


def _as_mapped(named: tuple[Speaker, ...], most: float = 1.0) -> Roles:
    scores = {
        (channel, 0): (name, 0.0 if name is Speaker.UNKNOWN else most)
        for channel, name in enumerate(named)
    }
    return Roles(scores)


def _uneven(named: tuple[Speaker, ...], channels: int, texts: Texts) -> Roles:
    """More or fewer channels than the map has: only channels without words may be left over."""
    spoken = {channel for (channel, _), lines in texts.items() if any(lines)}
    padded = (named + (Speaker.UNKNOWN,) * channels)[:channels]
    if channels > len(named) and all(channel < len(named) for channel in spoken):
        if set(named) == {Speaker.COLLECTOR, Speaker.PARTY} and len(named) == TWO:
            checked = _checked(named, texts)
            return Roles(checked.seats, ("uneven_channels", *checked.flags))
        return Roles(_as_mapped(padded).seats, ("uneven_channels",))
    doubted = _as_mapped(padded, DOUBTFUL_SCORE)
    return Roles(doubted.seats, ("uneven_channels", "uncertain_roles"))


def _checked(named: tuple[Speaker, ...], texts: Texts) -> Roles:
    """Hold a map of one collector and one party against the words."""
    collector, party = named.index(Speaker.COLLECTOR), named.index(Speaker.PARTY)
    behind = -lead(texts.get((collector, 0), ()), texts.get((party, 0), ()))
    if behind < DOUBTFUL_LEAD:
        return _as_mapped(named)
    if behind < CLEAR_LEAD:
        return Roles(_as_mapped(named, DOUBTFUL_SCORE).seats, ("uncertain_roles",))
    turned = (named[1], named[0])
    if behind < CERTAIN_LEAD:
        seats = _as_mapped(turned, CLEAR_SCORE).seats
        return Roles(seats, ("swapped_channels", "uncertain_roles"))
    return Roles(_as_mapped(turned, CERTAIN_SCORE).seats, ("swapped_channels",))
