"""What the tests of rules share."""

from importlib.resources import files

import pytest

from rules import Pack, parse

# The families that facts decide, some or all of their rules, with the shared words they listen to.
FACT_FILES = (
    "articles", "frq", "idn", "lexicon", "oblique", "out", "rec", "signals", "stp", "tim", "tpc",
    "vis", "wrn",
)  # fmt: skip
HEAD = 'pack: facts\nversion: "1"\ntitle: {zh: 事实规则, en: Rules of facts}\n'


@pytest.fixture(scope="session")
def facts_pack() -> Pack:
    """The families with rules of facts out of the collection pack, without those of words alone."""
    folder = files("rules") / "packs" / "collection"
    chosen = {f"{name}.yaml": (folder / f"{name}.yaml").read_text("utf-8") for name in FACT_FILES}
    return parse({"pack.yaml": HEAD, **chosen})


@pytest.fixture(scope="session")
def pack() -> Pack:
    """The whole collection pack, read once for all."""
    folder = files("rules") / "packs" / "collection"
    sheets = [sheet for sheet in folder.iterdir() if sheet.name.endswith(".yaml")]
    return parse({sheet.name: sheet.read_text("utf-8") for sheet in sheets})
