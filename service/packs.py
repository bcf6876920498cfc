"""The packs that come with the product, read once a process."""

from functools import lru_cache
from importlib import resources

import rules


@lru_cache(maxsize=8)
def load_pack(name: str = "collection") -> rules.Pack:
    """Read and parse the pack of that name.

    Raises `FileNotFoundError` where there is none, and `rules.PackError` with every problem in it.
    """
    folder = resources.files(rules).joinpath("packs", name)
    if not name.isidentifier() or not folder.is_dir():
        raise FileNotFoundError(f"there is no pack named {name!r}")
    files = {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }
    return rules.parse(files)
