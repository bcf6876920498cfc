"""Makes one transcript of a recording: decode, find speech, hear, judge, name the speakers."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import opencc

from rules.events import Segment
from workers.speech.decode import RATE, Audio, Limits, decoded
from workers.speech.engines import Engine, EngineOptions, Heard, get_engine
from workers.speech.pieces import Piece, Pieces, key_of
from workers.speech.roles import assign_roles
from workers.speech.trust import judge, without_loops
from workers.speech.voice import Stretch, VoiceOptions, find_turns

# Turns are heard in groups: enough to batch those of like length, few enough to show progress.
GROUP = 16
DECODED_PROGRESS = 0.02
WIDE = str.maketrans({",": "，", "?": "？", "!": "！", ";": "；"})
SENTENCE_STOP = re.compile(r"(?<=[\u4e00-\u9fff])\.(?=\s|$)")
SPACE_BETWEEN_CHARACTERS = re.compile(r"(?<=[\u4e00-\u9fff，。？！、])\s+(?=[\u4e00-\u9fff])")
CLOSING = "，。？！；、"


@dataclass(frozen=True)
class Transcription:
    """What was heard in a recording, with everything needed to judge and to repeat it."""

    segments: tuple[Segment, ...]
    engine: str
    model_digest: str
    parameters: dict[str, object]
    decoded_seconds: float
    untrusted_share: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    """A stretch of text of one channel, before the speaker is named."""

    channel: int
    start: float
    end: float
    text: str
    avg_logprob: float
    doubts: tuple[str, ...]


def transcribe(
    path: Path,
    *,
    speakers: Sequence[str],
    engine: str,
    model: str = "",
    on_progress: Callable[[float], None] | None = None,
    options: EngineOptions | None = None,
    done: Sequence[Piece] = (),
    on_piece: Callable[[Piece], None] | None = None,
    voice: VoiceOptions | None = None,
    limits: Limits | None = None,
    cache_dir: Path | None = None,
    threads: int = 1,
) -> Transcription:
    """Transcribe the recording at `path`; see `workers.speech.transcribe_file`."""
    report = on_progress or _ignore
    voice = voice or VoiceOptions()
    with decoded(path, limits=limits) as audio:
        report(DECODED_PROGRESS)
        hearing = get_engine(
            engine, model=model, options=options, cache_dir=cache_dir, threads=threads
        )
        key = key_of(
            audio,
            {
                "engine": hearing.name,
                "model": hearing.model_digest,
                "parameters": dict(hearing.parameters),
                "voice": asdict(voice),
                "speakers": list(speakers),
            },
        )
        pieces = Pieces(key, done, on_piece)
        turns = _planned(pieces, audio, voice)
        lines = list(_heard(pieces, hearing, audio, turns, report))
        report(1.0)
        return _assembled(lines, audio, hearing, voice, speakers, has_speech=bool(turns))


def _ignore(_share: float) -> None:
    return None


def _planned(pieces: Pieces, audio: Audio, voice: VoiceOptions) -> tuple[Stretch, ...]:
    """Return where somebody speaks, in time order."""
    # Twin channels carry the same voices twice; hearing one of them is enough.
    channels = (0,) if "dual_mono" in audio.flags else tuple(range(audio.channels))

    def make() -> dict[str, object]:
        return {"turns": [astuple(turn) for turn in find_turns(audio, channels, voice)]}

    doc = pieces.at(0, 0.0, make)
    return tuple(Stretch(*turn) for turn in cast("list[list[int]]", doc["turns"]))


def _heard(
    pieces: Pieces,
    engine: Engine,
    audio: Audio,
    turns: Sequence[Stretch],
    report: Callable[[float], None],
) -> Iterator[_Line]:
    total = sum(turn.speech for turn in turns) or 1
    heard = 0
    for position, low in enumerate(range(0, len(turns), GROUP), 1):
        group = turns[low : low + GROUP]
        until = max(turn.end for turn in group) / RATE
        doc = pieces.at(position, until, partial(_group_doc, engine, audio, group))
        yield from map(_line_of, cast("list[dict[str, object]]", doc["lines"]))
        heard += sum(turn.speech for turn in group)
        report(DECODED_PROGRESS + (1 - DECODED_PROGRESS) * heard / total)


def _group_doc(engine: Engine, audio: Audio, group: Sequence[Stretch]) -> dict[str, object]:
    prompt = str(engine.parameters.get("prompt") or "")
    heard = engine.hear([turn.samples(audio) for turn in group])
    pairs = zip(group, heard, strict=True)
    return {"lines": [asdict(line) for pair in pairs for line in _lines(*pair, prompt)]}


def _line_of(doc: dict[str, Any]) -> _Line:
    return _Line(**{**doc, "doubts": tuple(doc["doubts"])})


def _lines(turn: Stretch, heard: Sequence[Heard], prompt: str) -> Iterator[_Line]:
    """Judge the pieces of a turn, and join neighbours that are believed alike.

    Joined text lets a rule find words that the engine happened to cut in two.
    """
    from_start = turn.start / RATE
    held: _Line | None = None
    for piece in heard:
        seconds = min(max(piece.end - piece.start, 0.1), max(turn.speech_seconds, 0.1))
        if len(heard) == 1:
            seconds = turn.speech_seconds
        line = _Line(
            channel=turn.channel,
            start=round(from_start + piece.start, 2),
            end=round(from_start + piece.end, 2),
            text=tidy(without_loops(piece.text)),
            avg_logprob=round(piece.avg_logprob, 3),
            doubts=judge(piece, seconds=seconds, prompt=prompt).doubts,
        )
        if held is not None and bool(held.doubts) == bool(line.doubts):
            held = _joined(held, line)
            continue
        if held is not None:
            yield held
        held = line
    if held is not None:
        yield held


def _joined(first: _Line, second: _Line) -> _Line:
    stop = "" if first.text.endswith(tuple(CLOSING)) else "，"
    return _Line(
        channel=first.channel,
        start=first.start,
        end=max(first.end, second.end),
        text=f"{first.text}{stop}{second.text}",
        avg_logprob=min(first.avg_logprob, second.avg_logprob),
        doubts=tuple(dict.fromkeys(first.doubts + second.doubts)),
    )


@lru_cache(maxsize=1)
def _to_simplified() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


def tidy(text: str) -> str:
    """Return the text in simplified script, with Chinese punctuation and no stray spaces."""
    simplified = str(_to_simplified().convert(text)).translate(WIDE)
    return SPACE_BETWEEN_CHARACTERS.sub("，", SENTENCE_STOP.sub("。", simplified)).strip()


def _assembled(
    lines: Sequence[_Line],
    audio: Audio,
    engine: Engine,
    voice: VoiceOptions,
    speakers: Sequence[str],
    *,
    has_speech: bool,
) -> Transcription:
    texts: dict[int, str] = {}
    for line in lines:
        if not line.doubts:
            texts[line.channel] = texts.get(line.channel, "") + line.text
    roles = assign_roles(
        texts,
        channels=audio.channels,
        speakers=speakers,
        dual_mono="dual_mono" in audio.flags,
    )
    ordered = sorted(lines, key=lambda line: (line.start, line.channel))
    flags = (*audio.flags, *roles.flags)
    return Transcription(
        segments=tuple(_segment(line, roles.speakers, roles.scores) for line in ordered),
        engine=engine.name,
        model_digest=engine.model_digest,
        parameters={**engine.parameters, "voice": asdict(voice)},
        decoded_seconds=round(audio.seconds, 3),
        untrusted_share=untrusted_share(lines),
        flags=flags if has_speech else (*flags, "no_speech"),
    )


def _segment(line: _Line, speakers: Sequence[str], scores: Sequence[float]) -> Segment:
    return Segment.model_validate(
        {
            "speaker": speakers[line.channel],
            "start": line.start,
            "end": line.end,
            "text": line.text,
            "trusted": not line.doubts,
            "role_score": scores[line.channel],
            "avg_logprob": line.avg_logprob,
            **({"doubts": line.doubts} if line.doubts else {}),
        }
    )


def untrusted_share(lines: Sequence[_Line]) -> float:
    """Return the share of the heard time whose text is not believed (0 to 1)."""
    total = sum(line.end - line.start for line in lines)
    doubted = sum(line.end - line.start for line in lines if line.doubts)
    return round(doubted / total, 4) if total > 0 else 0.0
