import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.speech.hostile import KINDS

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_hostile_audio_ends_in_sound_or_in_a_reason_and_reaches_nobody() -> None:
    command = [sys.executable, "-m", "tests.workers.speech.fuzz", "--jobs", "2"]
    command += ["--mutations", "200", "--cut-step", "5"]

    # The feeding process stands for the worker: its end says that every outcome was typed.
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    found = json.loads(done.stdout)
    assert (found["kinds"], found["cuts"], found["mutations"]) == (len(KINDS), 24, 200)
    assert len(KINDS) >= 25
    assert sum(found["outcomes"].values()) == len(KINDS) + 224
    assert found["outcomes"]["audio"] > 50
    assert found["wrong"] == []
    assert (found["calls_received"], found["sockets_asked_for"]) == (0, 0)
    assert found["decoder_died"] == 0
    assert found["decoder_peak_mib"] + found["worker_grew_mib"] < 400
