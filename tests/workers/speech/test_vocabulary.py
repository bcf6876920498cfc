import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from whisper.tokenizer import Tokenizer, get_tokenizer

from workers.speech import conversion, weights
from workers.speech.vocabulary import Vocabulary

SIZE = 51_865
TEXTS = st.text(
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)
    | st.characters(exclude_categories=["Cs"])
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    with warnings.catch_warnings():
        # whisper leaves its vocabulary file to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        return get_tokenizer(multilingual=True, num_languages=99, language="zh", task="transcribe")


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    return Vocabulary(tokenizer, SIZE)


@given(text=TEXTS)
@example(text="您好，工号0231，下载APP，Mobile Banking 手机银行（ICBC）。……")
@example(text="лол 한국 ありがとう 😀")
def test_any_text_can_be_spelled_with_the_tokens_that_are_kept(
    text: str, tokenizer: Tokenizer, vocabulary: Vocabulary
) -> None:
    inner = vocabulary.inner(tokenizer.encode(text))

    assert tokenizer.decode(vocabulary.outer(inner)) == text


def test_chinese_keeps_its_own_tokens_and_other_scripts_lose_theirs(
    tokenizer: Tokenizer, vocabulary: Vocabulary
) -> None:
    chinese = tokenizer.encode(
        "我是汇民银行信用卡中心的贷后专员，您这张卡逾期八千三百元，今天必须还款！"
    )
    other = [token for token in tokenizer.encode(" Спасибо 감사합니다") if token > 1000]

    assert vocabulary.outer(vocabulary.known(chinese)) == chinese
    assert vocabulary.known(other) == []
    steering = [*range(tokenizer.eot, SIZE)]
    assert vocabulary.outer(vocabulary.known(steering)) == steering
    assert len(vocabulary.kept) < SIZE / 5


def test_a_narrowed_model_holds_the_rows_of_its_tokens_and_all_else_unchanged(
    vocabulary: Vocabulary, tmp_path: Path
) -> None:
    folder = Path(weights.for_faster_whisper().source)
    files = conversion.narrowed(folder, vocabulary.kept)
    (tmp_path / "model.bin").write_bytes(files["model.bin"])
    whole, narrow = (
        conversion._read_arrays(conversion._mapped(each / "model.bin"))
        for each in (folder, tmp_path)
    )

    assert conversion.token_count(folder) == SIZE
    assert conversion.token_count(tmp_path) == len(vocabulary.kept)
    assert whole.keys() == narrow.keys()
    for name, array in whole.items():
        kept = array[list(vocabulary.kept)] if name == conversion.EMBEDDINGS else array
        assert np.array_equal(kept, narrow[name]), name
    words = (folder / "vocabulary.txt").read_text("utf-8").split("\n")
    told = files["vocabulary.txt"].decode().split("\n")
    assert told[:-1] == [words[token] for token in vocabulary.kept]
    config = json.loads(files["config.json"])
    assert 0 < len(config["suppress_ids"]) <= len(vocabulary.kept)
    assert max(config["suppress_ids"]) < len(vocabulary.kept)


def test_weights_of_another_layout_are_refused_and_then_used_whole(
    vocabulary: Vocabulary, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "model.bin").write_bytes(b"\x06\x00\x00\x00\x05\x00Else\x00" + bytes(64))
    whole = Vocabulary(tokenizer, SIZE, is_whole=True)

    with pytest.raises(conversion.ConversionError, match="WhisperSpec"):
        conversion.token_count(tmp_path)
    with pytest.raises(conversion.ConversionError, match="WhisperSpec"):
        conversion.narrowed(tmp_path, vocabulary.kept)
    assert whole.outer(whole.inner(range(SIZE))) == [*range(SIZE)]
