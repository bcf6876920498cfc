"""Calls that are heard side by side share the model, and hear what they hear alone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.workers.speech.sound import LAWFUL, THREAT, make_wav, voice_of
from workers.speech import UndecodableError, transcribe_file
from workers.speech.engines import EngineOptions, get_engine
from workers.speech.reading import CPU_BATCH_S, WhisperReader
from workers.speech.sharing import Served
from workers.speech.transcript import Transcription

BOTH = ("collector", "party")
OWN = EngineOptions(hotwords=("安和消费金融",))


@pytest.fixture(scope="module")
def engine() -> WhisperReader:
    found = get_engine("faster-whisper")
    assert isinstance(found, WhisperReader)
    return found


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Short calls of two voices, a mono one, and a file that is none."""
    folder = tmp_path_factory.mktemp("calls")
    made = []
    for source in (THREAT, LAWFUL):
        for start in (0, 12):
            both = [voice_of(source, channel, start, start + 12) for channel in (0, 1)]
            made.append(make_wav(folder / f"{source.stem}-{start}.wav", np.hstack(both)))
    made.append(make_wav(folder / "mono.wav", voice_of(THREAT, 0, 4, 16)))
    (folder / "none.wav").write_bytes(b"RIFF of nothing")
    return [*made, folder / "none.wav"]


def hear(path: Path, options: EngineOptions | None = None) -> Transcription | str:
    try:
        return transcribe_file(path, speakers=BOTH, engine="faster-whisper", options=options)
    except UndecodableError as error:
        return error.reason


def test_side_by_side_is_heard_what_is_heard_alone(
    calls: list[Path], engine: WhisperReader
) -> None:
    work = [(path, None) for path in calls] + [(path, OWN) for path in calls[:2]]
    alone = [repr(hear(*each)) for each in work]
    engine.sharing.served = Served()

    with ThreadPoolExecutor(len(work)) as pool:
        together = [repr(found) for found in pool.map(lambda each: hear(*each), work)]

    assert together == alone
    assert "not_audio" in alone[5]
    assert "安和" in alone[2]
    # They were not heard one by one after all, nor more at once than memory is meant for.
    assert engine.sharing.served.most > 2
    assert engine.sharing.served.heaviest <= CPU_BATCH_S


def test_a_clip_is_heard_alike_whatever_stands_beside_it(engine: WhisperReader) -> None:
    clips = [
        voice_of(source, 0, start, start + length)[:, 0].astype(np.float32) / np.float32(32_768)
        for source, start, length in (
            (THREAT, 0, 5),
            (LAWFUL, 0, 5.5),
            (THREAT, 8, 13),
            (LAWFUL, 1, 2),
        )
    ]

    together = engine.hear(clips)

    assert together == [engine.hear([clip])[0] for clip in clips]
    coarser = engine.with_options(replace(EngineOptions(), step=8.0))
    assert [bool(found) for found in coarser.hear(clips)] == [True] * len(clips)
