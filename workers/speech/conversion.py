"""Reads Whisper weights from CTranslate2's model.bin: for other engines, or with fewer tokens."""

import json
import mmap
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from workers.speech.encoder import HalfEncoder

SIDES = ("encoder", "decoder")
FORMAT_VERSION = 6
SPEC = "WhisperSpec"
DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
FLOATS = ("<f4", "<f2")
# What has one row for each token.
ROWS_OF_TOKENS = "decoder/embeddings/"
EMBEDDINGS = "decoder/embeddings/weight"
TOKENS_OF_CONFIG = ("suppress_ids", "suppress_ids_begin", "lang_ids")
Arrays = dict[str, "np.ndarray[Any, Any]"]


class ConversionError(RuntimeError):
    """The file is not the kind of model.bin that can be converted."""


class _Record(NamedTuple):
    """One array as it is stored: `start` and `end` are its place in the file."""

    name: str
    shape: tuple[int, ...]
    kind: int
    raw: memoryview
    start: int
    end: int


class _Reader:
    """Reads the little-endian fields of model.bin one after another."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    @property
    def place(self) -> int:
        return self._at

    def take(self, count: int) -> memoryview:
        if self._at + count > len(self._data):
            raise ConversionError("model.bin ends too early")
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def text(self) -> str:
        # The stored length counts a closing NUL.
        return bytes(self.take(self.number("<H"))).rstrip(b"\0").decode("ascii")


def convert(source: Path, target: Path) -> None:
    """Write the checkpoint for the float model.bin at `source`; raise `ConversionError`."""
    arrays = _read_arrays(_mapped(source))
    state = {name: tensor for side in SIDES for name, tensor in _state(arrays, side)}
    torch.save({"dims": _dims(arrays), "model_state_dict": state}, target)


def half_encoder(source: Path) -> HalfEncoder:
    """Return the encoder of the float model.bin at `source`; raise `ConversionError`."""
    arrays = _read_arrays(_mapped(source))
    dims = _dims(arrays)
    state = {name: tensor.float() for name, tensor in _state(arrays, "encoder")}
    return HalfEncoder(state, layers=dims["n_audio_layer"], heads=dims["n_audio_head"])


def token_count(folder: Path) -> int:
    """Return how many tokens the model in the folder knows; raise `ConversionError`."""
    for record in _records(_mapped(folder / "model.bin")):
        if record.name == EMBEDDINGS:
            return record.shape[0]
    raise ConversionError("model.bin holds no table of tokens")


def narrowed(folder: Path, kept: Sequence[int]) -> dict[str, bytes]:
    """Return the files of the model in the folder as it is with these tokens alone, in this order.

    Raises `ConversionError` where the folder is laid out in a way that is not known.
    """
    data = _mapped(folder / "model.bin")
    parts: list[bytes | memoryview] = []
    end = 0
    for record in _records(data):
        parts.append(data[end : record.start])
        end = record.end
        if record.name.startswith(ROWS_OF_TOKENS) and record.shape:
            parts.append(_with_rows(record, kept))
        else:
            parts.append(data[record.start : record.end])
    parts.append(data[end:])
    return {
        "model.bin": b"".join(parts),
        "config.json": _narrow_config(folder, kept),
        **_narrow_words(folder, kept),
    }


def _with_rows(record: _Record, kept: Sequence[int]) -> bytes:
    rows = np.frombuffer(record.raw, dtype=np.uint8).reshape(record.shape[0], -1)[list(kept)]
    shape = (len(kept), *record.shape[1:])
    name = record.name.encode("ascii") + b"\0"
    head = struct.pack("<H", len(name)) + name + struct.pack(f"<B{len(shape)}I", len(shape), *shape)
    return head + struct.pack("<BI", record.kind, rows.nbytes) + rows.tobytes()


def _narrow_config(folder: Path, kept: Sequence[int]) -> bytes:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConversionError("the folder holds no readable config.json") from error
    places = {word: place for place, word in enumerate(kept)}
    for name in TOKENS_OF_CONFIG:
        if name in config:
            config[name] = [places[word] for word in config[name] if word in places]
    return json.dumps(config).encode()


def _narrow_words(folder: Path, kept: Sequence[int]) -> dict[str, bytes]:
    """Return the list of tokens in the form that the folder has it in."""
    try:
        if (folder / "vocabulary.json").is_file():
            words = json.loads((folder / "vocabulary.json").read_text("utf-8"))
            return {"vocabulary.json": json.dumps([words[token] for token in kept]).encode()}
        lines = (folder / "vocabulary.txt").read_bytes().split(b"\n")
        return {"vocabulary.txt": b"".join(lines[token] + b"\n" for token in kept)}
    except (OSError, ValueError, LookupError) as error:
        raise ConversionError("the folder holds no readable vocabulary") from error


def _mapped(source: Path) -> memoryview:
    with source.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _records(data: memoryview) -> Iterator[_Record]:
    reader = _Reader(data)
    version = reader.number("<I")
    spec = reader.text()
    if version != FORMAT_VERSION or spec != SPEC:
        raise ConversionError(f"expected {SPEC} in format {FORMAT_VERSION}")
    reader.number("<I")
    for _ in range(reader.number("<I")):
        start = reader.place
        name = reader.text()
        shape = tuple(reader.number("<I") for _ in range(reader.number("<B")))
        kind = reader.number("<B")
        raw = reader.take(reader.number("<I"))
        yield _Record(name, shape, kind, raw, start, reader.place)


def _read_arrays(data: memoryview) -> Arrays:
    arrays: Arrays = {}
    for record in _records(data):
        dtype = DTYPES.get(record.kind)
        if dtype is None:
            raise ConversionError("model.bin holds a number format that is not supported")
        arrays[record.name] = np.frombuffer(record.raw, dtype=dtype).reshape(record.shape)
    return arrays


def _float(arrays: Arrays, name: str) -> torch.Tensor:
    array = arrays[name]
    if array.dtype.str not in FLOATS:
        raise ConversionError("the weights are quantised; convert from a float model.bin")
    return torch.from_numpy(array.copy())


def _dims(arrays: Arrays) -> dict[str, int]:
    audio = arrays["encoder/position_encodings/encodings"].shape
    text = arrays["decoder/position_encodings/encodings"].shape
    return {
        "n_mels": arrays["encoder/conv1/weight"].shape[1],
        "n_audio_ctx": audio[0],
        "n_audio_state": audio[1],
        "n_audio_head": int(arrays["encoder/num_heads"]),
        "n_audio_layer": _layers(arrays, "encoder"),
        "n_vocab": arrays["decoder/embeddings/weight"].shape[0],
        "n_text_ctx": text[0],
        "n_text_state": text[1],
        "n_text_head": int(arrays["decoder/num_heads"]),
        "n_text_layer": _layers(arrays, "decoder"),
    }


def _layers(arrays: Arrays, side: str) -> int:
    found = {name.split("/")[1] for name in arrays if name.startswith(f"{side}/layer_")}
    return len(found - {"layer_norm"})


def _state(arrays: Arrays, side: str) -> Iterator[tuple[str, torch.Tensor]]:
    if side == "encoder":
        yield from _linear(arrays, "encoder/conv1", "encoder.conv1")
        yield from _linear(arrays, "encoder/conv2", "encoder.conv2")
        yield from _norm(arrays, "encoder/layer_norm", "encoder.ln_post")
    else:
        yield "decoder.token_embedding.weight", _float(arrays, "decoder/embeddings/weight")
        yield from _norm(arrays, "decoder/layer_norm", "decoder.ln")
    yield f"{side}.positional_embedding", _float(arrays, f"{side}/position_encodings/encodings")
    for layer in range(_layers(arrays, side)):
        yield from _block(arrays, f"{side}/layer_{layer}", f"{side}.blocks.{layer}")


def _block(arrays: Arrays, source: str, target: str) -> Iterator[tuple[str, torch.Tensor]]:
    attention = f"{source}/self_attention"
    yield from _norm(arrays, f"{attention}/layer_norm", f"{target}.attn_ln")
    yield from _fused(arrays, f"{attention}/linear_0", f"{target}.attn", ("query", "key", "value"))
    yield from _linear(arrays, f"{attention}/linear_1", f"{target}.attn.out")
    cross = f"{source}/attention"
    if f"{cross}/linear_0/weight" in arrays:
        yield from _norm(arrays, f"{cross}/layer_norm", f"{target}.cross_attn_ln")
        yield from _linear(arrays, f"{cross}/linear_0", f"{target}.cross_attn.query")
        yield from _fused(arrays, f"{cross}/linear_1", f"{target}.cross_attn", ("key", "value"))
        yield from _linear(arrays, f"{cross}/linear_2", f"{target}.cross_attn.out")
    yield from _norm(arrays, f"{source}/ffn/layer_norm", f"{target}.mlp_ln")
    yield from _linear(arrays, f"{source}/ffn/linear_0", f"{target}.mlp.0")
    yield from _linear(arrays, f"{source}/ffn/linear_1", f"{target}.mlp.2")


def _norm(arrays: Arrays, source: str, target: str) -> Iterator[tuple[str, torch.Tensor]]:
    yield f"{target}.weight", _float(arrays, f"{source}/gamma")
    yield f"{target}.bias", _float(arrays, f"{source}/beta")


def _linear(arrays: Arrays, source: str, target: str) -> Iterator[tuple[str, torch.Tensor]]:
    yield f"{target}.weight", _float(arrays, f"{source}/weight")
    yield f"{target}.bias", _float(arrays, f"{source}/bias")


def _fused(
    arrays: Arrays, source: str, target: str, parts: tuple[str, ...]
) -> Iterator[tuple[str, torch.Tensor]]:
    """CTranslate2 stacks the projections of one attention; Whisper's key projection has no bias."""
    weights = _float(arrays, f"{source}/weight").chunk(len(parts))
    biases = _float(arrays, f"{source}/bias").chunk(len(parts))
    for part, weight, bias in zip(parts, weights, biases, strict=True):
        yield f"{target}.{part}.weight", weight.clone()
        if part != "key":
            yield f"{target}.{part}.bias", bias.clone()
        elif bool(bias.any()):
            raise ConversionError("a key projection has a bias: this is not a Whisper model")
