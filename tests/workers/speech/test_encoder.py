"""The encoder in bfloat16 hears what Whisper's own encoder hears."""

from pathlib import Path

import numpy as np
import torch
import whisper

from tests.workers.speech.sound import THREAT, voice_of
from workers.speech import weights
from workers.speech.conversion import half_encoder
from workers.speech.decode import SCALE
from workers.speech.reading import spectrograms


def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0))


def test_features_in_half_precision_are_those_of_whispers_own_encoder() -> None:
    source = weights.for_faster_whisper().source
    half = half_encoder(Path(source) / "model.bin")
    reference = whisper.load_model(weights.for_openai_whisper().source).encoder
    voice = voice_of(THREAT, 0, 9, 15)[:, 0].astype(np.float32) / np.float32(SCALE)
    mels = spectrograms([voice, voice[::-1].copy()], 80, 3000)

    with torch.inference_mode():
        expected = reference(mels)
    found = half(mels)

    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    for one, other in zip(found, expected, strict=True):
        assert likeness(one, other) > 0.999
    assert likeness(found[0], expected[1]) < 0.9
    # A shorter spectrogram is heard by itself, not as the start of half a minute.
    assert half(mels[:, :, :700]).shape == (2, 350, expected.shape[2])
