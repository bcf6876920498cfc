"""Makes one transcript of a recording: decode, find speech, hear, judge, name the speakers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from rules.events import Segment
from workers.speech.clips import Clip, grouped, pack
from workers.speech.decode import RATE, Audio, Limits, decoded
from workers.speech.engines import Engine, EngineOptions, get_engine
from workers.speech.lines import Line, line_of, lines_of
from workers.speech.pieces import Piece, Pieces, key_of
from workers.speech.roles import assign_roles
from workers.speech.text import with_figures
from workers.speech.voice import Stretch, VoiceOptions, find_turns

DECODED_PROGRESS = 0.02


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
        clips = pack(turns, voice)
        lines = list(_heard(pieces, hearing, audio, clips, voice.longest_piece, report))
        report(1.0)
        return _assembled(lines, audio, hearing, voice, speakers, has_speech=bool(turns))


def _ignore(_share: float) -> None:
    return None


def _planned(pieces: Pieces, audio: Audio, voice: VoiceOptions) -> tuple[Stretch, ...]:
    """Return where somebody speaks, in time order."""
    # Twin channels carry the same voices twice; hearing one of them is enough.
    channels = (0,) if "dual_mono" in audio.flags else tuple(range(audio.channels))

    def make() -> dict[str, object]:
        return {"turns": [asdict(turn) for turn in find_turns(audio, channels, voice)]}

    doc = pieces.at(0, 0.0, make)
    return tuple(map(_turn_of, cast("list[dict[str, Any]]", doc["turns"])))


def _turn_of(doc: dict[str, Any]) -> Stretch:
    return Stretch(**{**doc, "pauses": tuple((low, high) for low, high in doc["pauses"])})


def _heard(
    pieces: Pieces,
    engine: Engine,
    audio: Audio,
    clips: Sequence[Clip],
    longest: float,
    report: Callable[[float], None],
) -> Iterator[Line]:
    total = sum(clip.length for clip in clips) or 1
    heard = 0
    for position, group in enumerate(grouped(clips, longest), 1):
        until = max(turn.end for clip in group for turn in clip.turns) / RATE
        doc = pieces.at(position, until, partial(_group_doc, engine, audio, group))
        yield from map(line_of, cast("list[dict[str, Any]]", doc["lines"]))
        heard += sum(clip.length for clip in group)
        report(DECODED_PROGRESS + (1 - DECODED_PROGRESS) * heard / total)


def _group_doc(engine: Engine, audio: Audio, group: Sequence[Clip]) -> dict[str, object]:
    heard = engine.hear([clip.samples(audio) for clip in group])
    pairs = zip(group, heard, strict=True)
    return {"lines": [asdict(line) for pair in pairs for line in lines_of(*pair, engine.told)]}


def _assembled(
    lines: Sequence[Line],
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


def _segment(line: Line, speakers: Sequence[str], scores: Sequence[float]) -> Segment:
    return Segment.model_validate(
        {
            "speaker": speakers[line.channel],
            "start": line.start,
            "end": line.end,
            "text": line.text,
            "trusted": not line.doubts,
            "role_score": scores[line.channel],
            "words": [asdict(word) for word in line.words],
            "normalised": with_figures(line.text),
            "biased": line.biased,
            "avg_logprob": line.avg_logprob,
            **({"doubts": line.doubts} if line.doubts else {}),
        }
    )


def untrusted_share(lines: Sequence[Line]) -> float:
    """Return the share of the heard time whose text is not believed (0 to 1)."""
    total = sum(line.end - line.start for line in lines)
    doubted = sum(line.end - line.start for line in lines if line.doubts)
    return round(doubted / total, 4) if total > 0 else 0.0
