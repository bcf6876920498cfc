"""docs/speech.md says what the code does."""

import re
from pathlib import Path

from rules.flaws import DAMAGE, SILENCE
from service.evidence.report_hearing import FLAGS as REPORTED
from tests.workers.speech.formats import SAMPLES
from workers.speech import decode, decoder, trust
from workers.speech.decode import FLAGS, SENTENCES, Limits
from workers.speech.engines import engine_names

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "speech.md").read_text("utf-8")
FOLDER = Path(decode.__file__).parent


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> dict[str, str]:
    """Return the rows of a section's table: the names in the first cell, and the rest."""
    found = {}
    for line in section(title).splitlines():
        cells = line.strip("|").split("|", 1)
        for name in re.findall(r"`([a-z0-9_-]+)`", cells[0]) if line.startswith("| ") else ():
            found[name] = cells[1]
    return found


def test_every_accepted_container_and_codec_is_on_the_page_and_no_other() -> None:
    table = rows("Formats")
    codecs = {name for rest in table.values() for name in re.findall(r"`([a-z0-9_]+)`", rest)}

    assert set(table) == set(decoder.FORMATS)
    assert codecs == {sample.codec.removesuffix("float") for sample in SAMPLES}


def test_every_engine_refusal_flag_and_doubt_is_on_the_page_and_no_other() -> None:
    assert set(rows("Engines")) == set(engine_names())
    assert set(rows("Refusals")) == set(SENTENCES)
    doubts = re.findall(
        r'(?:doubts\.append\(|return \[)"([a-z_]+)"', Path(trust.__file__).read_text("utf-8")
    )
    assert set(rows("Doubts")) == set(doubts)
    flags = set(rows("Flags"))
    assert set(FLAGS) | set(REPORTED) | DAMAGE.keys() | SILENCE.keys() <= flags
    source = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.py"))
    assert all(f'"{flag}"' in source for flag in flags)


def test_every_consequence_of_a_flag_is_the_one_of_the_checker() -> None:
    reasons = {**DAMAGE, **SILENCE}

    for flag, rest in rows("Flags").items():
        told = set(re.findall(r"`([a-z_]+_[a-z_]+)`", rest.rsplit("|", 1)[-1]))
        assert told == ({reasons[flag]} if flag in reasons else set()), flag


def test_limits_are_those_of_the_page() -> None:
    limits = Limits()

    assert "from 4 to 192 kHz, 1 to 8 channels, up to 4 hours" in PAGE
    assert (limits.lowest_rate, limits.highest_rate) == (4_000, 192_000)
    assert (limits.channels, limits.seconds) == (8, 4 * 3600)
    assert "2 GiB of samples" in PAGE
    assert limits.output_bytes == 2 << 30
    assert "256 MiB of heap, 300 s of processor or 600 s" in PAGE
    assert (limits.heap_bytes, limits.cpu_seconds) == (256 << 20, 300)
    assert limits.wall_seconds == 600
    assert f"{decode.TOLERANCE_SECONDS:.0f} s or {decode.TOLERANCE_SHARE:.0%}" in PAGE


def test_figures_carry_the_command_that_made_them() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")

    for verb in ("fuzz-audio", "eval-speech", "bench-speech"):
        assert f"`make {verb}" in PAGE
        assert f"\n{verb}: " in makefile
