"""`python -m hegui.evaluation.roles CORPUS`: how well speakers are told apart and named."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from rich.console import Console

from hegui.evaluation.audio import hear, recordings, sound_of, with_hearing
from hegui.evaluation.codecs import CODECS
from hegui.evaluation.corpus import Corpus, read_corpus
from hegui.evaluation.encode import write_sound
from hegui.evaluation.folds import pack_files
from hegui.evaluation.scoring import wilson
from rules import Pack, evaluate, parse
from rules.events import InteractionCompleted, Segment, Speaker
from rules.history import build_histories
from rules.model import Disposition
from workers.speech.decode import RATE, Audio, decoded
from workers.speech.roles import SURE, TWO, Seat, assign_roles
from workers.speech.speakers import tell_apart
from workers.speech.transcript import Transcription
from workers.speech.voice import Stretch, VoiceOptions, find_speech
from workers.speech.voiceprint import Prints, Voiceprints, packaged

APP = typer.Typer(add_completion=False)
BOTH = ("collector", "party")
LINES = ("clean", "g711a", "noise-10db")
TWIN_LINES = ("clean", "g711a", "g711u", "amr-nb", "mp3-16k")
# A twin channel may be weaker than the other; this is 4 dB.
WEAKER = 0.63
TICK = RATE // 100
# So many stretches tell whose voice it is.
TELLING = 6
_console = Console(stderr=True)

Heard = tuple[InteractionCompleted, Transcription]
Truth = NDArray[np.bool_]


@dataclass
class Channels:
    """Stereo calls: maps turned round on purpose, and the same sound on both channels."""

    calls: int = 0
    swapped_found: int = 0
    false_swaps: int = 0
    doubted: int = 0
    twins: int = 0
    twins_found: int = 0
    false_twins: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The counts, with the 95% interval of the share of swapped channels found."""
        low, high = wilson(self.swapped_found, self.calls)
        return {
            "eval": "channels",
            **asdict(self),
            "swapped_95": [round(low, 4), round(high, 4)],
        }


@dataclass
class Mono:
    """Calls mixed to one channel and sent over one line; a turn is a segment of the transcript.

    `told_apart` counts calls in which two voices were found, `false_thirds` those in which a third
    was, `fails_from_wrong_roles` violations that stand on a turn with the wrong name. Voices are
    compared by time, whatever their names.
    """

    line: str
    calls: int = 0
    told_apart: int = 0
    false_thirds: int = 0
    turns: int = 0
    wrong: int = 0
    unsure: int = 0
    wrong_and_sure: int = 0
    fails_from_wrong_roles: int = 0
    speech_seconds: float = 0.0
    wrong_voice_seconds: float = 0.0
    cpu_seconds: float = 0.0
    call_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The counts, with the share of wrong turns and its 95% interval."""
        low, high = wilson(self.wrong, self.turns)
        return {
            "eval": "mono",
            **{key: _plain(value) for key, value in asdict(self).items()},
            "wrong_share": round(self.wrong / max(1, self.turns), 4),
            "wrong_95": [round(low, 4), round(high, 4)],
            "wrong_voice_share": _plain(self.wrong_voice_seconds / max(1, self.speech_seconds), 4),
            "cpu_per_call_second": _plain(self.cpu_seconds / max(1, self.call_seconds), 4),
        }


def _plain(value: object, digits: int = 2) -> object:
    return round(float(value), digits) if isinstance(value, float) else value


@dataclass
class Third:
    """Mono calls to which the voice of a stranger was added, as somebody who takes the phone."""

    calls: int = 0
    found: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The counts, with the 95% interval of the share found."""
        low, high = wilson(self.found, self.calls)
        return {
            "eval": "third voice",
            **asdict(self),
            "found_95": [round(low, 4), round(high, 4)],
        }


def channel_figures(
    folder: Path,
    events: Sequence[InteractionCompleted],
    *,
    engine: str,
    cache: Path,
    on_done: Callable[[], None],
) -> Channels:
    """Hear every stereo call, turn its map round, and make twins of it; count what is noticed."""
    figures = Channels()
    for event in events:
        found = _heard(folder, event, engine, cache)
        texts: dict[Seat, list[str]] = {}
        for part in found.segments:
            if part.trusted:
                texts.setdefault((_channel(part, found), 0), []).append(part.text)
        right, wrong = (
            assign_roles(texts, channels=2, speakers=each).flags for each in (BOTH, BOTH[::-1])
        )
        figures.calls += 1
        figures.swapped_found += "swapped_channels" in wrong
        figures.false_swaps += "swapped_channels" in right
        figures.doubted += right == ("uncertain_roles",)
        figures.false_twins += "dual_mono" in found.flags
        _count_twins(figures, sound_of(folder, event.data))
        on_done()
    return figures


def _heard(folder: Path, event: InteractionCompleted, engine: str, cache: Path) -> Transcription:
    assert event.data.recording is not None
    kept = cache / f"{event.data.recording.sha256}.clean.{engine}.pieces.json"
    return hear(sound_of(folder, event.data), BOTH, engine=engine, kept=kept)


def _channel(part: Segment, found: Transcription) -> int:
    """Return the channel behind a name: the corpus has the collector on the first."""
    return (part.speaker == Speaker.PARTY) != ("swapped_channels" in found.flags)


def _count_twins(figures: Channels, source: Path) -> None:
    for line in TWIN_LINES:
        with tempfile.TemporaryDirectory(prefix="hegui-eval-") as name:
            folder = Path(name)
            mixed = _mixed(source, folder, gains=(1.0, WEAKER))
            with decoded(CODECS[line].write(mixed, folder)) as audio:
                figures.twins += 1
                figures.twins_found += "dual_mono" in audio.flags


def _mixed(source: Path, folder: Path, *, gains: tuple[float, ...]) -> Path:
    """Write both voices of a recording into each of as many channels as there are gains."""
    with decoded(source) as audio:
        mix = audio.samples.astype(np.float64).sum(axis=1)
    columns = np.stack([mix * gain for gain in gains], axis=1)
    sound = np.clip(columns, -32_768, 32_767).astype(np.int16)
    return write_sound(folder / "mixed.wav", sound, container="wav", encoder="pcm_s16le", rate=RATE)


def mono_figures(
    folder: Path,
    events: Sequence[InteractionCompleted],
    corpus: Corpus,
    pack: Pack,
    *,
    line: str,
    engine: str,
    cache: Path,
    on_done: Callable[[], None],
) -> Mono:
    """Mix every call to one channel, send it over the line, hear it, and hold it to the truth."""
    figures = Mono(line)
    heard: list[Heard] = []
    wrong: dict[str, set[int]] = {}
    for event in events:
        assert event.data.recording is not None
        source = sound_of(folder, event.data)
        truth = _truth(source)
        kept = cache / f"{event.data.recording.sha256}.mono-{line}.{engine}.pieces.json"
        with tempfile.TemporaryDirectory(prefix="hegui-eval-") as name:
            path = CODECS[line].write(_mixed(source, Path(name), gains=(1.0,)), Path(name))
            found = hear(path, BOTH, engine=engine, kept=kept)
            with decoded(path) as audio:
                _compare_voices(figures, audio, truth)
        heard.append((event, found))
        wrong[event.data.interaction_id] = _compare_names(figures, found, truth)
        on_done()
    figures.fails_from_wrong_roles = _fails(pack, with_hearing(corpus, heard), wrong)
    return figures


def _truth(source: Path) -> Truth:
    """Return who speaks, by the two channels of the original: a row a channel, 10 ms a column."""
    with decoded(source) as audio:
        spoken = np.zeros((2, audio.samples.shape[0] // TICK + 1), dtype=np.bool_)
        for channel in (0, 1):
            for part in find_speech(audio, channel, VoiceOptions(padding=0.0)):
                spoken[channel, part.start // TICK : part.end // TICK] = True
    return spoken


def _compare_voices(figures: Mono, audio: Audio, truth: Truth) -> None:
    prints = packaged()
    assert prints is not None
    stretches: tuple[Stretch, ...] = find_speech(audio, 0, VoiceOptions())
    begun = time.process_time()
    voices = tell_apart(audio, stretches, prints)
    figures.cpu_seconds += time.process_time() - begun
    figures.call_seconds += audio.seconds
    figures.calls += 1
    figures.told_apart += voices.count >= TWO
    figures.false_thirds += voices.count > TWO
    alone = truth[0] ^ truth[1]
    right = np.zeros((2, 2))
    for turn in voices.turns:
        low, high = turn.start // TICK, turn.end // TICK
        right[turn.voice] += (truth & alone)[:, low:high].sum(axis=1)
    figures.speech_seconds += right.sum() / 100
    figures.wrong_voice_seconds += min(right[0, 0] + right[1, 1], right[0, 1] + right[1, 0]) / 100


def third_figures(
    folder: Path,
    events: Sequence[InteractionCompleted],
    prints: Voiceprints,
    *,
    on_done: Callable[[], None],
) -> Third:
    """Add to each call the voice of the corpus that is least like its own two; count flags."""
    figures = Third()
    voices = [_voices(sound_of(folder, event.data), prints) for event in events]
    strangers = [voice for pair in voices for voice in pair]
    for pair in voices:
        own = np.stack([voice.print for voice in pair])
        stranger = min(strangers, key=lambda voice: float((own @ voice.print).max()))
        length = min(len(voice.sound) for voice in pair)
        call = sum(voice.sound[:length].astype(np.int32) for voice in pair)
        sound = np.concatenate((np.clip(call, -32_768, 32_767), stranger.sound)).astype(np.int16)
        with tempfile.TemporaryDirectory(prefix="hegui-eval-") as name:
            path = Path(name) / "three.wav"
            write_sound(path, sound[:, None], container="wav", encoder="pcm_s16le", rate=RATE)
            with decoded(path) as audio:
                found = tell_apart(audio, find_speech(audio, 0, VoiceOptions()), prints)
        figures.calls += 1
        figures.found += found.count > TWO
        on_done()
    return figures


@dataclass(frozen=True)
class _Voice:
    """One channel of a call and the mean voiceprint of its speech."""

    sound: NDArray[np.int16]
    print: Prints


def _voices(source: Path, prints: Voiceprints) -> tuple[_Voice, _Voice]:
    with decoded(source) as audio:
        first, second = (
            _Voice(
                np.array(audio.samples[:, channel]),
                prints.of(
                    [
                        part.samples(audio)
                        for part in find_speech(audio, channel, VoiceOptions())[:TELLING]
                    ]
                ).mean(axis=0),
            )
            for channel in (0, 1)
        )
    return first, second


def _compare_names(figures: Mono, found: Transcription, truth: Truth) -> set[int]:
    """Count turns by their names; return the segments whose name is the other's."""
    wrong = set()
    for number, part in enumerate(found.segments):
        low, high = round(part.start * 100), round(part.end * 100)
        collector, party = truth[:, low:high].sum(axis=1)
        if collector == party:
            continue
        sure = part.speaker != Speaker.UNKNOWN and part.role_score >= SURE
        figures.turns += 1
        figures.unsure += not sure
        if part.speaker == (Speaker.PARTY if collector > party else Speaker.COLLECTOR):
            wrong.add(number)
            figures.wrong += 1
            figures.wrong_and_sure += sure
    return wrong


def _fails(pack: Pack, corpus: Corpus, wrong: dict[str, set[int]]) -> int:
    verdicts = [
        verdict
        for history in build_histories(corpus.events, corpus.audio).values()
        for verdict in evaluate(pack, history)
    ]
    return sum(
        finding.disposition is Disposition.VIOLATION
        and finding.segment in wrong.get(verdict.interaction_id, ())
        for verdict in verdicts
        for finding in verdict.findings
    )


@APP.command()
def main(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="A corpus with stereo audio/.")
    ],
    engine: Annotated[str, typer.Option(help="Speech engine.")] = "faster-whisper",
    line: Annotated[list[str] | None, typer.Option(help="Lines of mono calls.")] = None,
    calls: Annotated[int, typer.Option(help="How many recordings; 0: all.")] = 0,
    cache: Annotated[Path, typer.Option(help="Where what was heard is kept.")] = Path("var/heard"),
) -> None:
    """Count swapped, twin and mono calls; one JSON line a figure on standard output."""
    corpus, pack = read_corpus(folder), parse(pack_files())
    events = recordings(folder)[: calls or None]
    with _console.status("") as status:
        done = [0]

        def step() -> None:
            done[0] += 1
            status.update(f"{done[0]} calls")

        figures = channel_figures(folder, events, engine=engine, cache=cache, on_done=step)
        print(orjson.dumps(figures.as_dict()).decode(), flush=True)
        for each in line or LINES:
            mono = mono_figures(
                folder, events, corpus, pack, line=each, engine=engine, cache=cache, on_done=step
            )
            print(orjson.dumps(mono.as_dict()).decode(), flush=True)
        prints = packaged()
        assert prints is not None
        third = third_figures(folder, events, prints, on_done=step)
        print(orjson.dumps(third.as_dict()).decode(), flush=True)


if __name__ == "__main__":
    APP()
