"""Makes one transcript of a recording: decode, find speech, hear, judge, name the speakers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rules.events import Segment
from workers.speech.clips import Clip, grouped, pack
from workers.speech.decode import RATE, Audio, Limits, decoded
from workers.speech.engines import Engine, EngineOptions, get_engine
from workers.speech.lines import Line, doc_of, line_of, lines_of, unheard_seconds
from workers.speech.pieces import Piece, Pieces, key_of
from workers.speech.plan import Plan, planned, shared_channel
from workers.speech.roles import Roles, Seat, assign_roles
from workers.speech.text import with_figures
from workers.speech.voice import VoiceOptions
from workers.speech.voiceprint import packaged

DECODED_PROGRESS = 0.02
PLANNED_PROGRESS = 0.1


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
    batch_s: float = 0.0,
) -> Transcription:
    """Transcribe the recording at `path`; see `workers.speech.transcribe_file`."""
    report = on_progress or _ignore
    voice = voice or VoiceOptions()
    with decoded(path, limits=limits) as audio:
        report(DECODED_PROGRESS)
        hearing = get_engine(
            engine,
            model=model,
            options=options,
            cache_dir=cache_dir,
            threads=threads,
            batch_s=batch_s,
        )
        prints = None if shared_channel(audio, speakers) is None else packaged()
        parameters: dict[str, object] = {
            **hearing.parameters,
            "voice": asdict(voice),
            **({"voiceprints": prints.digest} if prints else {}),
        }
        key = key_of(
            audio,
            {
                "engine": hearing.name,
                "model": hearing.model_digest,
                "parameters": parameters,
                "speakers": list(speakers),
            },
        )
        pieces = Pieces(key, done, on_piece)
        plan = planned(
            pieces,
            audio,
            speakers,
            voice,
            prints,
            lambda share: report(_between(DECODED_PROGRESS, PLANNED_PROGRESS, share)),
        )
        clips = pack(plan.turns, voice)
        docs = list(_heard(pieces, hearing, audio, clips, voice.longest_piece, report))
        report(1.0)
        return _assembled(docs, audio, hearing, parameters, speakers, plan)


def _ignore(_share: float) -> None:
    return None


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


def _heard(
    pieces: Pieces,
    engine: Engine,
    audio: Audio,
    clips: Sequence[Clip],
    longest: float,
    report: Callable[[float], None],
) -> Iterator[dict[str, Any]]:
    total = sum(clip.length for clip in clips) or 1
    heard = 0
    for position, group in enumerate(grouped(clips, longest), 1):
        until = max(turn.end for clip in group for turn in clip.turns) / RATE
        yield pieces.at(position, until, partial(_group_doc, engine, audio, group))
        heard += sum(clip.length for clip in group)
        report(_between(PLANNED_PROGRESS, 1.0, heard / total))


def _group_doc(engine: Engine, audio: Audio, group: Sequence[Clip]) -> dict[str, object]:
    heard = engine.hear([clip.samples(audio) for clip in group])
    lines: list[dict[str, object]] = []
    unheard = 0.0
    for clip, pieces in zip(group, heard, strict=True):
        found = list(lines_of(clip, pieces, engine.told))
        unheard += unheard_seconds(clip, found)
        lines.extend(map(doc_of, found))
    return {"lines": lines, "unheard_seconds": round(unheard, 2)}


def _assembled(
    docs: Sequence[dict[str, Any]],
    audio: Audio,
    engine: Engine,
    parameters: dict[str, object],
    speakers: Sequence[str],
    plan: Plan,
) -> Transcription:
    lines = [line_of(line) for doc in docs for line in doc["lines"]]
    unheard = sum(doc["unheard_seconds"] for doc in docs)
    ordered = sorted(lines, key=lambda line: (line.start, line.channel))
    texts: dict[Seat, list[str]] = {}
    for line in ordered:
        if not line.doubts:
            texts.setdefault((line.channel, line.voice), []).append(line.text)
    roles = assign_roles(texts, channels=audio.channels, speakers=speakers, shared=plan.shared)
    flags = (*audio.flags, *roles.flags)
    return Transcription(
        segments=tuple(_segment(line, roles) for line in ordered),
        engine=engine.name,
        model_digest=engine.model_digest,
        parameters=parameters,
        decoded_seconds=round(audio.seconds, 3),
        untrusted_share=untrusted_share(lines, unheard),
        flags=flags if plan.turns else (*flags, "no_speech"),
    )


def _segment(line: Line, roles: Roles) -> Segment:
    speaker, score = roles.at(line.channel, line.voice)
    return Segment.model_validate(
        {
            "speaker": speaker,
            "start": line.start,
            "end": line.end,
            "text": line.text,
            "trusted": not line.doubts,
            "role_score": round(score * line.voice_score, 4),
            "words": [
                {"text": w.text, "start": w.start, "end": w.end, "probability": w.probability}
                for w in line.words
            ],
            "normalised": with_figures(line.text),
            "biased": line.biased,
            "avg_logprob": line.avg_logprob,
            **({"doubts": line.doubts} if line.doubts else {}),
        }
    )


def untrusted_share(lines: Sequence[Line], unheard: float) -> float:
    """Return the share of the speech whose text is not believed or is missing (0 to 1)."""
    doubted = unheard + sum(line.seconds for line in lines if line.doubts)
    total = unheard + sum(line.seconds for line in lines)
    return round(doubted / total, 4) if total > 0 else 0.0
