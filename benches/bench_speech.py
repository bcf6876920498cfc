"""Processor seconds for a second of call, peak memory and character errors, beside bare engines.

A stereo call of `--seconds` is laid together from the demonstration's recordings. Every contender
hears it in a process of its own, pinned to one core, in turn; loading the model is not counted.
`--split` says where the seconds of our two go, `--workers N` how many such calls N processes hear
in an hour side by side, `--short N` what N calls of 20 s cost one after another and side by side in
one process, and `--long` hears three hours with little speech next to five minutes, for
the memory. The last line of the output is one JSON object.
"""

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper.vad import get_vad_model
from numpy.typing import NDArray

from hegui.evaluation.bare import (
    Reader,
    channels,
    faster_whisper,
    faster_whisper_batched,
    openai_whisper,
)
from hegui.evaluation.cer import Errors, rate
from workers.speech.decode import RATE, decoded
from workers.speech.engines import get_engine
from workers.speech.reading import WhisperReader
from workers.speech.role_words import leaning
from workers.speech.sharing import Served
from workers.speech.transcript import transcribe

AUDIO = Path(__file__).parents[1] / "hegui" / "demo_data" / "audio"
PHONE_RATE = 8_000
LONG_PAUSE = 1_500.0
SHORTEST = 0.1
SHORT_S = 20.0
SIDE_BY_SIDE = (1, 8)
SPEAKERS = ("collector", "party")
Texts = tuple[str, str]
Hearing = Callable[[], Texts]


def references() -> dict[str, list[dict[str, Any]]]:
    lines = (AUDIO / "reference.jsonl").read_text(encoding="utf-8").splitlines()
    return {entry["file"]: entry["segments"] for entry in map(json.loads, lines)}


def pieces(seconds: float, pause: float) -> Iterator[tuple[str, float, NDArray[np.int16]]]:
    """Yield recordings in turn until they and the pauses fill the time; the last one is cut."""
    names, left = sorted(references()), seconds
    while left > SHORTEST:
        for name in names:
            if left <= SHORTEST:
                return
            with decoded(AUDIO / name) as audio:
                part = np.array(audio.samples[: round(left * RATE) : RATE // PHONE_RATE])
            yield name, len(part) / PHONE_RATE, part
            left -= len(part) / PHONE_RATE + pause


def compose(path: Path, seconds: float, *, pause: float = 0.0) -> Texts:
    """Write the call, with `pause` seconds of silence after each recording.

    Return what is said on each channel.
    """
    said, spoken = {"collector": "", "party": ""}, references()
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(PHONE_RATE)
        for name, length, part in pieces(seconds, pause):
            writer.writeframes(part.astype("<i2").tobytes())
            writer.writeframes(bytes(4 * round(pause * PHONE_RATE)))
            for segment in spoken[name]:
                if segment["end"] <= length:
                    said[segment["speaker"]] += segment["text"]
    return said["collector"], said["party"]


def ours(engine: str) -> Callable[[Path], Hearing]:
    def prepare(path: Path) -> Hearing:
        get_engine(engine)
        # The voice model and the tables of sounds are loaded once a process, like the model.
        get_vad_model()
        leaning("您好")

        def hear() -> Texts:
            heard = transcribe(path, speakers=SPEAKERS, engine=engine)
            first, second = (
                "".join(part.text for part in heard.segments if part.speaker == speaker)
                for speaker in SPEAKERS
            )
            return first, second

        return hear

    return prepare


def bare(load: Callable[[], Reader]) -> Callable[[Path], Hearing]:
    def prepare(path: Path) -> Hearing:
        read = load()

        def hear() -> Texts:
            first, second = channels(path)
            return read(first), read(second)

        return hear

    return prepare


CONTENDERS: dict[str, Callable[[Path], Hearing]] = {
    "ours, faster-whisper": ours("faster-whisper"),
    "faster-whisper batched 8, beam 1": bare(faster_whisper_batched),
    "faster-whisper int8 + VAD": bare(faster_whisper),
    "ours, openai-whisper": ours("openai-whisper"),
    "bare openai-whisper": bare(openai_whisper),
}


OURS = [name for name in CONTENDERS if name.startswith("ours")]


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(name: str, path: Path) -> dict[str, Any]:
    """Run one contender in this process."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    hear = CONTENDERS[name](path)
    began, used = time.perf_counter(), processor_seconds()
    texts = hear()
    return {
        "cpu_s": round(processor_seconds() - used, 2),
        "wall_s": round(time.perf_counter() - began, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "texts": texts,
    }


def score(found: dict[str, Any], said: Texts, seconds: float) -> dict[str, Any]:
    texts = found.pop("texts")
    errors = [Errors.between(true, text) for true, text in zip(said, texts, strict=True)]
    return {
        "cpu_s_per_call_s": round(found["cpu_s"] / seconds, 4),
        "cer": round(rate(errors), 4) if any(said) else None,
        **found,
    }


# Where processor time goes, by the function that spends it (with what it calls).
PARTS = {
    "encoder": ("encode", "engines"),
    "reader": ("read", "engines"),
    "word times": ("align", "engines"),
    "voice model": ("run", "onnxruntime"),
}


def split(name: str, path: Path) -> dict[str, float]:
    """Return the share of each part in the processor time of one of our engines."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    hear = CONTENDERS[name](path)
    profile = cProfile.Profile(time.process_time)
    before = processor_seconds()
    profile.runcall(hear)
    total = processor_seconds() - before
    decoder = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = {"decoder": decoder.ru_utime + decoder.ru_stime} | dict.fromkeys(PARTS, 0.0)
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, function), (_, _, _, seconds, _) in stats.items():
        for part, (wanted, folder) in PARTS.items():
            if function == wanted and folder in file:
                spent[part] += seconds
    shares = {part: round(seconds / total, 4) for part, seconds in spent.items()}
    return {**shares, "rest": round(1 - sum(spent.values()) / total, 4)}


def short_calls(folder: Path, count: int) -> list[Path]:
    """Cut a long call into calls of 20 seconds, as messages and refusals are."""
    compose(folder / "long.wav", count * SHORT_S)
    paths = []
    with wave.open(str(folder / "long.wav"), "rb") as reader:
        for number in range(count):
            paths.append(folder / f"{number}.wav")
            with wave.open(str(paths[-1]), "wb") as writer:
                writer.setparams(reader.getparams())
                writer.writeframes(reader.readframes(round(SHORT_S * PHONE_RATE)))
    return paths


def side_by_side(engine: str, folder: Path) -> dict[str, Any]:
    """Hear the calls of the folder with so many at once; say whether the texts are the same."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    paths = sorted(each for each in folder.glob("*.wav") if each.stem.isdigit())
    loaded = get_engine(engine)
    assert isinstance(loaded, WhisperReader)

    def hear(path: Path) -> str:
        return repr(transcribe(path, speakers=SPEAKERS, engine=engine).segments)

    get_vad_model()
    leaning("您好")
    alone: list[str] = []
    found: dict[str, Any] = {}
    for count in SIDE_BY_SIDE:
        loaded.sharing.served = Served()
        used = processor_seconds()
        with ThreadPoolExecutor(count) as pool:
            texts = list(pool.map(hear, paths))
        seconds = processor_seconds() - used
        alone = alone or texts
        served = loaded.sharing.served
        found[f"{count} at once"] = {
            "cpu_s_per_call_s": round(seconds / (len(paths) * SHORT_S), 4),
            "clips_a_batch": round(served.wishes / served.batches, 2),
            "same_text": texts == alone,
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
    return found


def throughput(name: str, path: Path, workers: int, seconds: float) -> dict[str, float]:
    """Return how many such calls an hour that many processes hear at once, one core each."""
    command = [sys.executable, __file__, "--measure", name, str(path)]
    cores = sorted(os.sched_getaffinity(0))
    running = [
        subprocess.Popen(
            ["taskset", "-c", str(cores[at % len(cores)]), *command],
            stdout=subprocess.PIPE,
            text=True,
        )
        for at in range(workers)
    ]
    found = [json.loads(each.communicate()[0].splitlines()[-1]) for each in running]
    return {
        f"calls_of_{seconds:.0f}_s_an_hour_by_{clock}": round(
            sum(3600 / each[f"{clock}_s"] for each in found), 1
        )
        for clock in ("wall", "cpu")
    }


def run(mode: str, name: str, path: Path) -> dict[str, Any]:
    """Run one contender in a process of its own."""
    command = [sys.executable, __file__, mode, name, str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(seconds: float, only: str, folder: Path) -> Iterator[tuple[str, Any]]:
    said = compose(folder / "call.wav", seconds)
    for name in (each for each in CONTENDERS if only in each):
        yield name, score(run("--measure", name, folder / "call.wav"), said, seconds)


def compare_lengths(only: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """Hear five minutes and three hours that hold about as much speech."""
    for seconds, pause in ((300.0, 0.0), (3 * 3600.0, LONG_PAUSE)):
        path = folder / f"{seconds:.0f}.wav"
        compose(path, seconds, pause=pause)
        for name in (each for each in OURS if only in each):
            found = run("--measure", name, path)
            found.pop("texts")
            yield f"{name}, {seconds:.0f} s", found


def results(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Any]]:
    if options.long:
        yield from compare_lengths(options.only, folder)
    elif options.short:
        short_calls(folder, options.short)
        for engine in (name.removeprefix("ours, ") for name in OURS if options.only in name):
            yield engine, run("--measure-short", engine, folder)
    elif options.split or options.workers:
        path = folder / "call.wav"
        compose(path, options.seconds)
        for name in (each for each in OURS if options.only in each):
            if options.split:
                yield name, run("--measure-split", name, path)
            else:
                yield name, throughput(name, path, options.workers, options.seconds)
    else:
        yield from compare(options.seconds, options.only, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--long", action="store_true", help="three hours beside five minutes")
    parser.add_argument("--split", action="store_true", help="where the seconds go")
    parser.add_argument("--workers", type=int, default=0, help="processes side by side")
    parser.add_argument("--only", default="", help="contenders whose name holds this text")
    parser.add_argument("--short", type=int, default=0, help="calls of 20 s, alone and together")
    for mode in ("--measure", "--measure-split", "--measure-short"):
        parser.add_argument(mode, nargs=2, metavar=("NAME", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]))))
        return
    if options.measure_short:
        print(json.dumps(side_by_side(options.measure_short[0], Path(options.measure_short[1]))))
        return
    if options.measure_split:
        print(json.dumps(split(options.measure_split[0], Path(options.measure_split[1]))))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, result in results(options, Path(folder)):
            found[name] = result
            print(f"{name}: {result}", file=sys.stderr, flush=True)
    print(json.dumps({"bench": "speech", "call_seconds": options.seconds, "results": found}))


if __name__ == "__main__":
    main()
