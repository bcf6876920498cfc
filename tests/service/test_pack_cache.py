"""A compiled pack is kept for the next process; a cache that cannot be trusted changes nothing."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import rules
from rules.engine import explain
from rules.image import MAGIC, ImageError, from_bytes, to_bytes
from service.pack_cache import BUILT, KEPT, compiled, key_of, refuse_stale
from service.packs import load_pack
from tests.rules.small_pack import ARTICLES, HEAD, RULES, call, small_pack, verdict_of

FILES = {"pack.yaml": HEAD, "articles.yaml": ARTICLES, "thr.yaml": RULES}
SAID = ["我们就上门颇游戏", "不会打断你的腿", "弄死你", "还不还钱", "今天还不还钱", "打断你得胳膊"]


def image_in(folder: Path) -> Path:
    (found,) = folder.glob("*.image")
    return found


def forge(folder: Path) -> Path:
    """An image under the right name that tells that it was read: its version is another one."""
    compiled(FILES, folder)
    path = image_in(folder)
    path.write_bytes(to_bytes(replace(from_bytes(path.read_bytes()), version="forged")))
    return path


def test_a_pack_from_the_cache_gives_the_same_verdicts_byte_for_byte(tmp_path: Path) -> None:
    first, second = compiled(FILES, tmp_path), compiled(FILES, tmp_path)

    assert first is not second
    assert (second.rules, second.conditions, second.articles) == (
        first.rules,
        first.conditions,
        first.articles,
    )
    for said in SAID:
        verdict = verdict_of(first, call(("collector", said)))
        assert repr(verdict_of(second, call(("collector", said)))) == repr(verdict)
    assert any(verdict_of(second, call(("collector", said))).findings for said in SAID)


def test_ways_of_saying_that_are_alike_are_one_in_a_parsed_and_in_a_kept_pack() -> None:
    doubled = RULES.replace(" 的? (一条)? {limb}", " 的? (一条)? {limb}|打断 你的腿|打断 你的腿")
    pack = rules.parse(FILES | {"thr.yaml": doubled})
    (contact,) = call(("collector", "打断你的腿")).contacts

    explained = [explain(held, contact) for held in (pack, from_bytes(to_bytes(pack)))]

    # The words with classes, and the doubled ones once.
    assert [[found.match.quote for found in each] for each in explained] == [["打断你的腿"] * 2] * 2


def test_the_product_s_own_pack_is_the_same_from_its_image() -> None:
    pack = load_pack()
    image = to_bytes(pack)
    again = from_bytes(image)

    assert to_bytes(again) == image
    for rule in pack.rules:
        said = [text for text in (*rule.tests.hits, *rule.tests.heard) if isinstance(text, str)]
        for text in said[:2]:
            history = call(("collector", text))
            assert repr(rules.evaluate(again, history)) == repr(rules.evaluate(pack, history))


def test_a_file_of_the_cache_is_used(tmp_path: Path) -> None:
    forge(tmp_path)

    assert compiled(FILES, tmp_path).version == "forged"


def test_with_the_cache_no_dictionary_is_loaded(tmp_path: Path) -> None:
    compiled(FILES, tmp_path)
    program = (
        "import sys, pathlib\n"
        "from service.pack_cache import compiled\n"
        "from tests.rules.small_pack import call, verdict_of\n"
        "from tests.service.test_pack_cache import FILES, SAID\n"
        "pack = compiled(FILES, pathlib.Path(sys.argv[1]))\n"
        "found = [verdict_of(pack, call(('collector', said))) for said in SAID]\n"
        "assert any(verdict.findings for verdict in found)\n"
        "print([name for name in ('pypinyin', 'opencc') if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
def test_a_damaged_file_is_passed_over_and_written_anew(tmp_path: Path, share: float) -> None:
    path = forge(tmp_path)
    image = bytearray(path.read_bytes())
    image[int(share * len(image))] ^= 1
    path.write_bytes(bytes(image))

    assert compiled(FILES, tmp_path).version == "1"
    assert compiled(FILES, tmp_path).version == "1"
    assert from_bytes(image_in(tmp_path).read_bytes()).version == "1"


def test_a_cut_file_is_passed_over(tmp_path: Path) -> None:
    path = forge(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])

    assert compiled(FILES, tmp_path).version == "1"


@pytest.mark.parametrize("place", ["file", "folder"])
def test_what_others_may_write_is_not_read(tmp_path: Path, place: str) -> None:
    path = forge(tmp_path)
    (path if place == "file" else tmp_path).chmod(0o777)

    assert compiled(FILES, tmp_path).version == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("place", ["file", "folder"])
def test_what_belongs_to_another_user_is_not_read(tmp_path: Path, place: str) -> None:
    path = forge(tmp_path)
    os.chown(path if place == "file" else tmp_path, 65534, 65534)

    assert compiled(FILES, tmp_path).version == "1"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = forge(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    assert compiled(FILES, tmp_path).version == "1"


def test_where_nothing_can_be_written_the_pack_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "packs").write_text("a file where the folder belongs")

    assert compiled(FILES, tmp_path / "packs").version == "1"
    assert compiled(FILES, tmp_path / "packs" / "deeper").version == "1"


def test_a_changed_pack_is_compiled_and_old_files_go(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        changed = FILES | {"pack.yaml": HEAD.replace('"1"', f'"{number}"')}
        assert compiled(changed, tmp_path).version == str(number)

    assert len(list(tmp_path.iterdir())) == KEPT


def test_changed_code_is_another_key(tmp_path: Path) -> None:
    (tmp_path / "grammar.py").write_text("GAP = 6\n")
    before = key_of(FILES, tmp_path)
    assert key_of(dict(reversed(FILES.items())), tmp_path) == before

    (tmp_path / "grammar.py").write_text("GAP = 7\n")

    assert key_of(FILES, tmp_path) != before
    assert key_of(FILES | {"more.yaml": ""}, tmp_path) != key_of(FILES, tmp_path)


@pytest.mark.parametrize("image", [b"", MAGIC, MAGIC + bytes(40), b"\x80\x04." * 50])
def test_other_bytes_are_no_image(image: bytes) -> None:
    with pytest.raises(ImageError):
        from_bytes(image)


def test_the_small_pack_is_not_changed_by_making_its_image() -> None:
    pack = small_pack()

    assert to_bytes(pack) == to_bytes(pack)


def test_a_search_compiled_of_another_source_is_refused_and_the_remedy_named(
    tmp_path: Path,
) -> None:
    code = Path(rules.__file__).parent
    refuse_stale(code, BUILT)
    refuse_stale(tmp_path, BUILT)  # where there are none, none can have changed
    for source in (*code.glob("*.pxd"), *code.glob("*.pyx")):
        shutil.copy(source, tmp_path)
    refuse_stale(tmp_path, BUILT)
    with pytest.raises(ImportError, match="make venv"):
        refuse_stale(tmp_path, {*BUILT, "of one module that was left behind"})

    for source in list(tmp_path.iterdir()):
        kept = source.read_bytes()
        source.write_bytes(kept + b"# changed")
        with pytest.raises(ImportError, match="make venv"):
            refuse_stale(tmp_path, BUILT)
        source.write_bytes(kept)


def test_without_the_compiled_search_the_remedy_is_named(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for source in Path(rules.__file__).parent.glob("*.py"):
        shutil.copy(source, tmp_path / "rules")
    ran = subprocess.run(
        [sys.executable, "-S", "-c", "import rules"],  # and nothing that is installed
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert ran.returncode == 1
    assert "make venv" in ran.stderr
