"""Plans what is heard of a recording: whose turns lie where, before any word is known."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from rules.events import Speaker
from workers.speech.decode import Audio
from workers.speech.pieces import Pieces
from workers.speech.roles import SURE, TWO, Shared
from workers.speech.speakers import tell_apart
from workers.speech.voice import Stretch, VoiceOptions, find_speech, join_turns
from workers.speech.voiceprint import Voiceprints


@dataclass(frozen=True)
class Plan:
    """Turns in time order; `shared` names the channel on which everybody speaks, if one does."""

    turns: tuple[Stretch, ...]
    shared: Shared | None = None


def shared_channel(audio: Audio, speakers: Sequence[str]) -> int | None:
    """Return the channel that may hold both voices, because no other channel has its own."""
    if audio.channels == 1 or "dual_mono" in audio.flags:
        return 0
    sounding = [n for n in range(audio.channels) if n not in audio.silent_channels]
    return sounding[0] if len(sounding) == 1 and len(set(speakers)) > 1 else None


def planned(
    pieces: Pieces,
    audio: Audio,
    speakers: Sequence[str],
    voice: VoiceOptions,
    prints: Voiceprints | None,
    on_progress: Callable[[float], None],
) -> Plan:
    """Return the plan, read from the piece at position 0 or made and handed out as one.

    Voices of one channel are told apart where `prints` is at hand; else all of it is one voice.
    `on_progress` is told the share done (0 to 1): hours of sound take minutes even here.
    """
    channel = shared_channel(audio, speakers)

    def make() -> dict[str, object]:
        if channel is None:
            count = audio.channels
            found = [
                part
                for each in range(count)
                for part in find_speech(audio, each, voice, _share(on_progress, each, count))
            ]
            shared = None
        else:
            # Twin channels carry the same voices twice; hearing one of them is enough.
            found, shared = _divided(audio, channel, speakers, voice, prints, on_progress)
        return {
            "turns": [asdict(turn) for turn in join_turns(found, voice)],
            "shared": shared and asdict(shared),
        }

    doc = pieces.at(0, 0.0, make)
    turns = tuple(map(_turn_of, cast("list[dict[str, Any]]", doc["turns"])))
    kept = cast("dict[str, Any] | None", doc["shared"])
    return Plan(turns, Shared(**kept) if kept else None)


def _share(on_progress: Callable[[float], None], part: int, parts: int) -> Callable[[float], None]:
    """Return what to tell the share of one of several parts."""
    return lambda share: on_progress((part + share) / parts)


def _divided(
    audio: Audio,
    channel: int,
    speakers: Sequence[str],
    voice: VoiceOptions,
    prints: Voiceprints | None,
    on_progress: Callable[[float], None],
) -> tuple[list[Stretch], Shared]:
    found = list(find_speech(audio, channel, voice, _share(on_progress, 0, 2)))
    owner = _owner(audio, channel, speakers)
    if prints is None:
        return found, Shared(channel, owner)
    voices = tell_apart(audio, found, prints, _share(on_progress, 1, 2))
    # A map that gives the channel to one speaker holds unless a second voice is beyond doubt.
    if voices.count < TWO or (owner is not None and voices.sure < SURE):
        return found, Shared(channel, owner, 1, voices.sure)
    return list(voices.turns), Shared(channel, owner, voices.count, voices.sure)


def _owner(audio: Audio, channel: int, speakers: Sequence[str]) -> str | None:
    """Return the only speaker that the map has for the channel."""
    name = speakers[0] if len(set(speakers)) == 1 else None
    if name is None and audio.channels == len(speakers) and "dual_mono" not in audio.flags:
        name = speakers[channel]
    return None if name == Speaker.UNKNOWN else name


def _turn_of(doc: dict[str, Any]) -> Stretch:
    return Stretch(**{**doc, "pauses": tuple((low, high) for low, high in doc["pauses"])})
