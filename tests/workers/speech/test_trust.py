import pytest

from workers.speech.engines import PROMPT, Heard
from workers.speech.trust import judge, without_loops


def heard(text: str, *, logprob: float = -0.4, silence: float = 0.1) -> Heard:
    return Heard(0.0, 5.0, text, logprob, silence, 1.0)


@pytest.mark.parametrize(
    ("piece", "seconds", "doubt"),
    [
        pytest.param(heard("请不吝点赞 订阅 转发"), 4.0, "known_invention", id="subscribe"),
        pytest.param(heard("字幕由志愿者提供"), 3.0, "known_invention", id="subtitles"),
        pytest.param(heard("谢谢观看"), 2.0, "known_invention", id="thanks-for-watching"),
        pytest.param(heard("诸位," * 20), 6.0, "repetition", id="loop"),
        pytest.param(heard("我晚上跟她说。" * 3), 6.0, "repetition", id="sentence-loop"),
        pytest.param(heard("就这样吧", logprob=-1.5), 2.0, "improbable", id="improbable"),
        pytest.param(heard("好的", logprob=-0.8, silence=0.9), 2.0, "likely_silence", id="silence"),
        pytest.param(heard("这是一句不可能这么快说完的话"), 0.5, "too_fast", id="too-fast"),
        pytest.param(heard("好"), 12.0, "too_sparse", id="too-sparse"),
        pytest.param(heard("。。。"), 1.0, "no_words", id="no-words"),
    ],
)
def test_text_that_may_be_invented_is_not_trusted(piece: Heard, seconds: float, doubt: str) -> None:
    judgement = judge(piece, seconds=seconds)

    assert not judgement.trusted
    assert doubt in judgement.doubts


@pytest.mark.parametrize(
    "text",
    [
        "再不还钱我们就上门泼油漆，你信不信？",
        "行行行行，我今天晚上就弄。",
        "对对对对对，是我。",
        "不还不还，就是不还。",
        "您好，我是银行委托的，工号一二三四。",
    ],
)
def test_ordinary_speech_is_trusted(text: str) -> None:
    assert judge(heard(text), seconds=len(text) / 4.5).trusted


def test_echo_of_the_prompt_is_not_trusted_but_one_clause_of_it_is() -> None:
    echo, clause = "银行委托，工号一二三，通话有录音。", "那你什么时候还款？"

    assert "prompt_echo" in judge(heard(echo), seconds=3.0, prompt=PROMPT).doubts
    assert judge(heard(clause), seconds=2.0, prompt=PROMPT).trusted


def test_loops_are_shortened_and_emphasis_is_kept() -> None:
    assert without_loops("请坐，" * 20) == "请坐，请坐，"
    assert without_loops("对对对对，是我") == "对对对对，是我"
