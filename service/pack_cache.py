"""Compiled packs, kept in the user's cache so that the next process need not compile them.

A file's name follows from the pack's own files, the code of `rules` and the libraries that it
compiles with. Nobody but the user who runs hegui may be able to write the file or its folder. What
cannot be read, trusted or written is passed over: the pack is compiled, as without a cache.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Collection, Mapping
from contextlib import closing, suppress
from importlib import metadata
from pathlib import Path

from platformdirs import user_cache_path

import rules
from rules import field, glance, normalise, plausible, tally, trail, walk, weigh
from rules.image import ImageError, from_bytes, to_bytes

KEPT = 4
"""Files that stay when one is added: a few versions of the code may take turns on a machine."""

_LIBRARIES = ("daachorse", "numpy", "opencc", "orjson", "pypinyin", "pyyaml")
_OTHERS_WRITE = 0o022

_MODULES = field, glance, normalise, walk, plausible, tally, trail, weigh
BUILT = frozenset(module.DIGEST for module in _MODULES)
"""The digests of the sources that the compiled modules were built with: one, if all is well."""


def compiled(files: Mapping[str, str], folder: Path | None = None) -> rules.Pack:
    """The pack of these files (name to text), compiled or from the cache.

    `folder` holds the cache; the user's own by default. Raises `rules.PackError`, and `ImportError`
    where the compiled modules were built of other sources than those that lie beside them.
    """
    folder = user_cache_path("hegui") / "packs" if folder is None else folder
    refuse_stale(Path(rules.__file__).parent, BUILT)
    name = f"{key_of(files, Path(rules.__file__).parent)}.image"
    pack = _read(folder, name)
    if pack is None:
        pack = rules.parse(files)
        _write(folder, name, pack)
    return pack


def refuse_stale(code: Path, built: Collection[str]) -> None:
    """Raise `ImportError` where the sources in this folder, if any, have not the digest `built`."""
    sources = sorted(path for path in code.iterdir() if path.suffix in {".pxd", ".pyx"})
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    if sources and set(built) != {digest}:
        raise ImportError(
            f"the Cython sources in {code} have changed since they were compiled; run `make venv`, "
            "or `python setup.py build_ext --inplace` in a working tree of its own"
        )


def key_of(files: Mapping[str, str], code: Path) -> str:
    """Names all that a compiled pack follows from; `code` is the folder of the compiler."""
    total = hashlib.sha256(f"{sys.implementation.cache_tag} {sys.byteorder}".encode())
    sources = {str(path.relative_to(code)): path.read_bytes() for path in code.rglob("*.py")}
    sources["compiled"] = " ".join(sorted(BUILT)).encode()
    used = {name: metadata.version(name).encode() for name in _LIBRARIES}
    texts = {name: text.encode() for name, text in files.items()}
    for part in (sources, used, texts):
        for name, content in sorted(part.items()):
            for piece in (name.encode(), content):
                total.update(len(piece).to_bytes(8) + piece)
    return total.hexdigest()


def _read(folder: Path, name: str) -> rules.Pack | None:
    """The pack in a file that nobody else can have written; None where there is none."""
    with suppress(OSError, ImageError):
        place = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            if _is_ours(place):
                flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
                with closing(os.fdopen(os.open(name, flags, dir_fd=place), "rb")) as file:
                    if _is_ours(file.fileno()):
                        return from_bytes(file.read())
        finally:
            os.close(place)
    return None


def _is_ours(descriptor: int) -> bool:
    """Whether the file or folder belongs to this user, and no other may write it."""
    found = os.fstat(descriptor)
    return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE


def _write(folder: Path, name: str, pack: rules.Pack) -> None:
    """Add a file in one step, and remove the oldest ones."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
            part = Path(file.name)
            try:
                file.write(to_bytes(pack))
                file.close()
                part.replace(folder / name)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        images = sorted(folder.glob("*.image"), key=lambda path: path.stat().st_mtime)
        for old in images[:-KEPT]:
            old.unlink(missing_ok=True)
