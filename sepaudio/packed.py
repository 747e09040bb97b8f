"""Tensors in few bytes: codebooks, gaps between weights that are not zero, Huffman codes.

A tensor is kept in the shortest of these forms, each of which gives it back to the last bit:

* plain: its bytes;
* shared, where it has 256 different values or fewer: these values, and the number of the value of
  each weight;
* sparse, where many are zero: the same of the weights that are not, and the gaps between them; a
  gap of 256 or more is cut by zeros in between;
* factors: two tensors of these forms, whose matrix product it is, see `product`.

Numbers and gaps are bytes under a Huffman code, that of deflate (RFC 1951) without its search for
repetitions; it codes the end of a stream like one more symbol.

Source: Han et al. 2015 (1510.00149), sections 2 to 4.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

VERSION = 1
LEVELS = 256  # different values that a byte can number
Factors = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Coded:
    """One tensor in its form: what the index says of it, and its streams of bytes."""

    about: dict[str, Any]
    streams: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes of the streams."""
        return sum(map(len, self.streams))


def huffman(symbols: NDArray[np.uint8]) -> bytes:
    """Bytes under a Huffman code of their own."""
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    return coder.compress(symbols.tobytes()) + coder.flush()


def symbols_of(stream: bytes) -> NDArray[np.uint8]:
    """What `huffman` coded."""
    return np.frombuffer(zlib.decompress(stream, -15), np.uint8)


def product(first: Tensor, second: Tensor, shape: tuple[int, ...]) -> Tensor:
    """first [O, R], second [R, I] -> their product of a shape, summed in double precision."""
    return (first.double() @ second.double()).to(first.dtype).reshape(shape)


def encode(x: Tensor) -> Coded:
    """The shortest form of a tensor."""
    values = np.ascontiguousarray(x.detach().cpu().numpy())
    bits = values.reshape(-1).view(f"u{values.dtype.itemsize}")  # -0.0 is not 0.0, NaN is itself
    forms = [_about(x, "plain", values.tobytes())]
    book, numbers = np.unique(bits, return_inverse=True)
    if 0 < len(book) <= LEVELS:
        shared = _about(x, "shared", book.tobytes(), huffman(numbers.astype(np.uint8)))
        forms.append(shared)
        if book[0] == 0 and len(book) > 1:
            places, gaps = _gaps(np.flatnonzero(bits), len(bits))
            rest = numbers[places].astype(np.uint8)  # zeros in between have number 0
            forms.append(_about(x, "sparse", book.tobytes(), huffman(rest), huffman(gaps)))
    return min(forms, key=lambda form: form.size)


def decode(coded: Coded) -> Tensor:
    """The tensor that `encode` was given."""
    about, streams = coded.about, coded.streams
    kind = _numpy(about["dtype"])
    if about["form"] == "plain":
        flat = np.frombuffer(streams[0], kind)
    else:
        book = np.frombuffer(streams[0], kind)
        numbers = symbols_of(streams[1])
        if about["form"] == "sparse":
            places = np.cumsum(symbols_of(streams[2]).astype(np.int64) + 1) - 1
            flat = np.zeros(math.prod(about["shape"]), kind)
            flat[places] = book[numbers]
        else:
            flat = book[numbers]
    return torch.from_numpy(flat.copy()).reshape(about["shape"])


def _gaps(places: NDArray[np.int64], total: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Places with stops in long gaps, and how many weights are skipped before each."""
    kept: list[int] = []
    last = -1
    for place in places.tolist():
        while place - last > LEVELS:
            last += LEVELS
            kept.append(last)
        kept.append(place)
        last = place
    where = np.array(kept, np.int64)
    return where, (np.diff(where, prepend=-1) - 1).astype(np.uint8)


def _about(x: Tensor, form: str, *streams: bytes) -> Coded:
    kind = str(x.dtype).removeprefix("torch.")
    return Coded({"form": form, "dtype": kind, "shape": list(x.shape)}, streams)


def _numpy(kind: str) -> np.dtype[Any]:
    return np.dtype(torch.empty(0, dtype=getattr(torch, kind)).numpy().dtype)


def pack(tensors: Mapping[str, Tensor], factors: Mapping[str, Factors] | None = None) -> bytes:
    """Tensors by name as one block of bytes.

    Args:
        tensors: of any type that numpy knows.
        factors: of those that are a product of two matrices, see `product`; kept in their place.
    """
    index: dict[str, Any] = {}
    streams: list[bytes] = []
    for name, x in tensors.items():
        own = (factors or {}).get(name)
        parts = [encode(x)] if own is None else [encode(part) for part in own]
        told = [[*one.about.values(), *map(len, one.streams)] for one in parts]
        index[name] = told[0] if own is None else [list(x.shape), *told]
        streams += [stream for one in parts for stream in one.streams]
    head = zlib.compress(json.dumps(index, separators=(",", ":")).encode(), 9)
    return len(head).to_bytes(4, "little") + head + b"".join(streams)


def unpack(block: bytes) -> dict[str, Tensor]:
    """What `pack` wrote; products are multiplied out.

    Raises:
        ValueError: the block is damaged.
    """
    try:
        size = int.from_bytes(block[:4], "little")
        index = json.loads(zlib.decompress(block[4 : 4 + size]))
        return dict(_tensors(index, block[4 + size :]))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, zlib.error) as error:
        raise ValueError(
            f"the packed weights are damaged ({error}): copy the file again"
        ) from error


def _tensors(index: dict[str, Any], body: bytes) -> Iterator[tuple[str, Tensor]]:
    at = 0

    def one(told: list[Any]) -> Tensor:
        nonlocal at
        form, kind, shape, *sizes = told
        streams = []
        for size in sizes:
            streams.append(body[at : at + size])
            at += size
        return decode(Coded({"form": form, "dtype": kind, "shape": shape}, tuple(streams)))

    for name, told in index.items():
        if isinstance(told[0], str):
            yield name, one(told)
        else:
            shape, first, second = told
            yield name, product(one(first), one(second), tuple(shape))
