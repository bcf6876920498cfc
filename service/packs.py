"""The packs that come with the product, compiled once a machine and read once a process."""

from functools import lru_cache
from importlib import resources

import rules
from service.pack_cache import compiled


@lru_cache(maxsize=8)
def load_pack(name: str = "collection") -> rules.Pack:
    """The pack of that name, from the cache of compiled packs where it holds it.

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
    return compiled(files)
