"""What the tests of rules share."""

from importlib.resources import files

import pytest

from rules import Pack, parse

# The families that facts decide, with the shared words they listen to.
FACT_FILES = (
    "articles", "frq", "idn_facts", "lexicon", "oblique", "out", "rec", "signals", "stp", "tim", "tpc_facts",
    "vis", "wrn",
)  # fmt: skip
HEAD = 'pack: facts\nversion: "1"\ntitle: {zh: 事实规则, en: Rules of facts}\n'


@pytest.fixture(scope="session")
def facts_pack() -> Pack:
    """The rules of facts out of the collection pack, without the families of words."""
    folder = files("rules") / "packs" / "collection"
    chosen = {f"{name}.yaml": (folder / f"{name}.yaml").read_text("utf-8") for name in FACT_FILES}
    return parse({"pack.yaml": HEAD, **chosen})
