"""Verdicts: what evidence can carry, and what a finding says."""

from dataclasses import replace

import pytest

from rules import ParameterError, evaluate, explain, gated_utterances, selftest
from rules.flaws import flaws_of
from rules.model import Audio, Disposition, Outcome, Suggestion
from tests.rules.small_pack import call, small_pack, verdict_of, with_audio

NOTICE = ("collector", "您好，本次通话录音")


def test_a_finding_points_at_what_was_heard() -> None:
    verdict = verdict_of(small_pack(), call(NOTICE, ("collector", "再不还，我们就上门颇游戏")))

    (finding,) = verdict.findings
    assert verdict.outcome is Outcome.FAIL
    assert (finding.rule, finding.heard, finding.quote) == ("THR-01", "上门颇游戏", "上门泼油漆")
    assert finding.match == "phonetic"
    assert finding.segment == 1
    assert "再不还，我们就上门颇游戏"[finding.char_start : finding.char_end] == finding.heard
    assert finding.start is not None
    assert finding.end is not None
    assert 10 < finding.start < finding.end <= 20
    assert "上门泼油漆" in finding.why_zh


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param([("party", "你们要上门泼油漆吗")], id="the debtor's words"),
        pytest.param([("collector", "我们绝不会上门泼油漆")], id="denied"),
        pytest.param([("collector", "手机弄死机了您重启一下")], id="idiom"),
        pytest.param([("collector", "弄死蟑螂用这个药")], id="unless"),
    ],
)
def test_the_innocent_pass(turns: list[tuple[str, str]]) -> None:
    assert verdict_of(small_pack(), call(NOTICE, *turns)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("segment", "outcome"),
    [
        pytest.param({"trusted": False}, Outcome.PASS, id="untrusted words carry nothing"),
        pytest.param({"role_score": 0.5}, Outcome.REVIEW, id="an unsure speaker asks for a review"),
        pytest.param({"biased": True}, Outcome.REVIEW, id="words heard with a bias ask for one"),
    ],
)
def test_doubtful_evidence_never_fails(segment: dict[str, object], outcome: Outcome) -> None:
    history = call(NOTICE, ("collector", "打断你的腿"), **segment)

    assert verdict_of(small_pack(), history).outcome is outcome


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param([("collector", "您好")], id="words that are missing"),
        pytest.param([NOTICE, ("party", "你工号多少"), ("collector", "你别管")], id="an answer"),
    ],
)
def test_what_others_may_have_said_never_fails_where_roles_are_uncertain(
    turns: list[tuple[str, str]],
) -> None:
    history = call(("party", "喂"), *turns)
    (contact,) = history.contacts
    doubted = tuple(
        segment.model_copy(update={"role_score": 0.79}) if segment.speaker == "party" else segment
        for segment in contact.interaction.transcript or ()
    )
    interaction = contact.interaction.model_copy(update={"transcript": doubted})

    sure = verdict_of(small_pack(), history)
    unsure = verdict_of(
        small_pack(), replace(history, contacts=(replace(contact, interaction=interaction),))
    )

    assert sure.outcome is Outcome.FAIL
    assert unsure.outcome is Outcome.REVIEW
    assert [f.rule for f in unsure.findings] == [f.rule for f in sure.findings]


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        pytest.param(("好的，您今天方便还款吗", "我下周发了工资就还"), Outcome.FAIL, id="clear"),
        pytest.param(
            ("嚎的，您巾天芳便孩款骂", "窝夏周乏了供资究还"), Outcome.REVIEW, id="garbled"
        ),
    ],
)
def test_words_in_a_garbled_transcript_ask_for_a_review(
    lines: tuple[str, str], outcome: Outcome
) -> None:
    history = call(NOTICE, ("party", lines[1]), ("collector", f"{lines[0]}。打断你的腿"))

    assert verdict_of(small_pack(), history).outcome is outcome


def test_an_unknown_speaker_is_reviewed_and_inconclusive() -> None:
    verdict = verdict_of(small_pack(), call(("unknown", "打断你的腿，通话录音")))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert {finding.disposition for finding in verdict.findings} == {Disposition.REVIEW}
    assert verdict.reasons == ("speakers_unknown",)


@pytest.mark.parametrize(
    ("audio", "outcome", "reason"),
    [
        (Audio(state="failed", reason="no_audio_stream"), Outcome.ERROR, "no_audio_stream"),
        (Audio(state="missing"), Outcome.INCONCLUSIVE, "recording_missing"),
        (Audio(state="transcribed", untrusted_share=0.9), Outcome.INCONCLUSIVE, "speech_not_trusted"),
        (Audio(state="transcribed", flags=("truncated",)), Outcome.INCONCLUSIVE, "recording_truncated"),
        (Audio(state="transcribed", flags=("clipped",)), Outcome.INCONCLUSIVE, "recording_clipped"),
        (Audio(state="transcribed", flags=("silent",)), Outcome.INCONCLUSIVE, "recording_silent"),
        (Audio(state="transcribed", flags=("uncertain_roles",)), Outcome.INCONCLUSIVE, "speakers_uncertain"),
        (Audio(state="transcribed", flags=("swapped_channels", "mono_turns")), Outcome.PASS, None),
        (Audio(state="transcribed"), Outcome.PASS, None),
    ],
)  # fmt: skip
def test_missing_evidence_is_told(audio: Audio, outcome: Outcome, reason: str | None) -> None:
    verdict = verdict_of(small_pack(), with_audio(call(NOTICE), audio))

    assert verdict.outcome is outcome
    assert verdict.reasons == ((reason,) if reason else ())


def test_a_flawed_recording_does_not_hide_what_was_heard_in_it() -> None:
    history = call(NOTICE, ("collector", "打断你的腿"))
    flawed = Audio(state="transcribed", flags=("truncated",), untrusted_share=0.25)

    verdict = verdict_of(small_pack(), with_audio(history, flawed))

    assert verdict.outcome is Outcome.FAIL
    assert verdict.reasons == ("recording_truncated",)
    assert verdict.as_dict()["untrusted_share"] == 0.25


def test_a_recording_of_another_length_than_announced_is_never_clean() -> None:
    (contact,) = call(NOTICE).contacts
    recording = contact.interaction.recording
    assert recording is not None
    announced = recording.model_copy(update={"duration_seconds": 60.0})
    interaction = contact.interaction.model_copy(update={"recording": announced})

    for decoded, reasons in ((54.0, ["recording_length_differs"]), (56.0, [])):
        audio = Audio(state="transcribed", decoded_seconds=decoded)
        assert list(flaws_of(interaction, audio)) == reasons


def test_an_answer_is_judged_by_what_was_asked_just_before() -> None:
    asked = call(NOTICE, ("party", "你工号多少"), ("collector", "你别管"))
    later = call(
        NOTICE,
        ("party", "你工号多少"),
        ("collector", "一二三四"),
        ("party", "嗯"),
        ("collector", "你别管"),
    )

    assert verdict_of(small_pack(), asked).outcome is Outcome.FAIL
    assert verdict_of(small_pack(), later).outcome is Outcome.PASS


def test_what_is_missing_is_named() -> None:
    (finding,) = verdict_of(small_pack(), call(("collector", "您好，请问是张先生吗"))).findings

    assert finding.rule == "THR-03"
    assert "录音提示" in finding.why_zh
    assert finding.quote is None


def test_only_the_second_time_counts_where_a_rule_says_so() -> None:
    again = call(NOTICE, ("collector", "还不还钱"), ("party", "嗯"), ("collector", "还不还钱"))

    (finding,) = verdict_of(small_pack(), again).findings
    assert (finding.rule, finding.segment) == ("THR-02", 1 + 2)
    assert verdict_of(small_pack(), again, parameters={"THR-02": {"enabled": False}}).findings == ()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"THR-02": {"limit": 4}}, "limit"),
        ({"THR-02": {"limit": "3"}}, "limit"),
        ({"THR-02": {"limits": 3}}, "limits"),
        ({"XXX-01": {"limit": 3}}, "XXX-01"),
    ],
)
def test_a_tenant_cannot_loosen_beyond_the_bounds(
    parameters: dict[str, dict[str, object]], named: str
) -> None:
    with pytest.raises(ParameterError, match=named):
        evaluate(small_pack(), call(NOTICE), parameters=parameters)


def test_a_second_reader_can_only_ask_for_a_review() -> None:
    history = call(
        NOTICE, ("collector", "我们知道你每天几点下班"), ("collector", "我们不会打断你的腿")
    )
    seen = Suggestion("THR", 1, 0, 11, 0.9, "implied threat")
    cleared = Suggestion("THR", 2, 0, 9, 0.9, "already cleared by a guard")

    verdict = verdict_of(small_pack(), history, suggestions={("A1", "i1"): [seen, cleared]})

    (finding,) = verdict.findings
    assert (finding.disposition, finding.heard) == (Disposition.REVIEW, "我们知道你每天几点下班")
    assert [segment for segment, _ in gated_utterances(small_pack(), history.contacts[0])] == [0, 1]


def test_explain_names_the_guard_that_cleared_a_match() -> None:
    (contact,) = call(("collector", "我们绝不会打断你的腿")).contacts

    (candidate,) = explain(small_pack(), contact)

    assert candidate.cleared_by == "negated"
    assert "不会" in candidate.why


def test_the_tests_in_the_rules_pass() -> None:
    assert selftest(small_pack()) == ()


def test_a_test_that_fails_is_told() -> None:
    from tests.rules.small_pack import RULES

    failures = selftest(small_pack(RULES.replace("弄死机了, 打断一下]", "弄死你, 打断一下]")))

    assert [(failure.rule, failure.kind, failure.number) for failure in failures] == [
        ("THR-01", "misses", 2)
    ]
