from pathlib import Path

import pytest

from workers.speech import weights


def test_damaged_weights_in_the_cache_are_made_again(tmp_path: Path) -> None:
    first = weights.for_faster_whisper(cache_dir=tmp_path)
    model = Path(first.source) / "model.bin"
    size = model.stat().st_size
    model.write_bytes(b"cut short")

    again = weights.for_faster_whisper(cache_dir=tmp_path)

    assert again == first
    assert model.stat().st_size == size
    assert weights.sha256_of(model) == weights.PACKAGED_SHA256


@pytest.mark.parametrize("model", ["/no/such/model.pt", "no-such-model"])
def test_unknown_model_is_a_clear_error(model: str, tmp_path: Path) -> None:
    with pytest.raises(weights.WeightsError):
        weights.for_openai_whisper(model, cache_dir=tmp_path)
