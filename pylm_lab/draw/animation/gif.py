"""GIF: pictures that change a little from one to the next, as a file.

1. One palette for all: the colours that are given, exactly, the most frequent of the others, and
   those that would else be farthest from any.
2. Each image is the rectangle that has changed, and in it only what has: all else is transparent,
   which takes next to no room.
3. No date, no comment: the same pictures give the same bytes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["Gif", "Pixels", "Window"]

Pixels = npt.NDArray[np.uint8]
#: Rows and columns of a picture.
Window = tuple[slice, slice]

#: The index in the palette that stands for "as before".
_CLEAR = 255
#: How many colours are chosen because they are frequent; the others because nothing is near them.
_FREQUENT = 160


class Gif:
    """A GIF in the making, which repeats for ever."""

    def __init__(self, colours: Sequence[str], samples: Iterable[Pixels]) -> None:
        """`colours` (`#RRGGBB`) are kept as they are; `samples` (RGB) show the others."""
        self._palette = _palette([tuple(bytes.fromhex(c[1:])) for c in colours], samples)
        self._table = _table(self._palette)
        self._shown: Pixels | None = None
        self._images: list[tuple[bytes, bytes]] = []
        self._times: list[int] = []
        self._head = b""

    def add(self, picture: Pixels, window: Window, time: int) -> None:
        """Show a picture (RGB) for `time` hundredths of a second.

        Only what lies in the window may differ from the picture before.
        """
        index = self._index(picture[window])
        if self._shown is None:
            height, width = picture.shape[:2]
            self._head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0)
            self._shown = np.zeros((height, width), dtype=np.uint8)
            changed = np.ones(index.shape, dtype=bool)
        else:
            changed = index != self._shown[window]
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        if not len(rows):
            self._times[-1] += time
            return
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        top, left = window[0].start + int(rows[0]), window[1].start + int(columns[0])
        data = np.where(changed[part], index[part], _CLEAR).astype(np.uint8)
        self._shown[window] = index
        place = struct.pack("<HHHHB", left, top, data.shape[1], data.shape[0], 0)
        self._images.append((place, _packed(data)))
        self._times.append(time)

    def hold(self, time: int) -> None:
        """Show the last picture longer."""
        self._times[-1] += time

    def data(self) -> bytes:
        """The file."""
        out = [self._head, self._palette.tobytes()]
        out.append(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
        for (place, image), time in zip(self._images, self._times, strict=True):
            control = struct.pack("<BHBB", 0x05, time, _CLEAR, 0)
            out += [b"\x21\xf9\x04", control, b"\x2c", place, image]
        return b"".join([*out, b"\x3b"])

    def _index(self, pixels: Pixels) -> Pixels:
        return self._table[_cells(pixels)]


def _cells(pixels: Pixels) -> npt.NDArray[np.uint16]:
    """Which of 32 x 32 x 32 cells each colour is in."""
    cells = (pixels >> 3).astype(np.uint16)
    return np.asarray((cells[..., 0] << 10) | (cells[..., 1] << 5) | cells[..., 2], dtype=np.uint16)


def _palette(exact: Sequence[tuple[int, ...]], samples: Iterable[Pixels]) -> Pixels:
    """255 colours and one that is never seen."""
    counts = np.zeros(1 << 15, dtype=np.int64)
    for sample in samples:
        counts += np.bincount(_cells(sample).ravel(), minlength=1 << 15)
    own = np.array(list(dict.fromkeys(exact)), dtype=np.uint8)
    counts[_cells(own)] = 0
    # The most frequent first; of equals the darker.
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    cells = np.stack([order >> 10, (order >> 5) & 31, order & 31], axis=1) * 8 + 4
    palette = np.empty((256, 3), dtype=np.uint8)
    palette[:] = own[0]
    palette[: len(own)] = own
    size = len(own)
    if len(cells):
        # How far each is from the nearest that is chosen: the frequent, then always the farthest.
        far = np.full(len(cells), np.iinfo(np.int64).max)
        for n in range(_CLEAR):
            if n >= size:
                pick = n - size if n < _FREQUENT else int(far.argmax())
                if pick >= len(cells) or not far[pick]:
                    continue
                palette[n] = cells[pick]
            away = cells - palette[n].astype(np.int64)
            far = np.minimum(far, (away * away).sum(axis=1))
    return palette


def _table(palette: Pixels) -> Pixels:
    """The index of the colour that is nearest to each cell."""
    steps = np.arange(32, dtype=np.int32) * 8 + 4
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    nearest = np.empty(len(cells), dtype=np.uint8)
    colours = palette[:_CLEAR].astype(np.int32)
    square = (colours * colours).sum(axis=1)
    for start in range(0, len(cells), 4096):
        part = cells[start : start + 4096]
        nearest[start : start + 4096] = (square - 2 * part @ colours.T).argmin(axis=1)
    # A colour that is in the palette stays what it is; the first ones win.
    for n in range(_CLEAR - 1, -1, -1):
        nearest[int(_cells(palette[n]))] = n
    return nearest


def _packed(index: Pixels) -> bytes:
    """An image's data as a GIF packs it; Pillow does it, and we take it out of a GIF of its own."""
    image = Image.fromarray(index)
    image.putpalette(bytes(range(256)) * 3)
    file = io.BytesIO()
    image.save(file, format="GIF", interlace=0, optimize=False)
    data = file.getvalue()
    at = 13 + (_table_size(data[10]))
    while data[at] == 0x21:  # extensions, which are chains of blocks
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    return data[at + 10 + _table_size(data[at + 9]) : -1]


def _table_size(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return int(3 << (flags & 7) + 1) if flags & 0x80 else 0
