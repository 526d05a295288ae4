"""Damaged files: what bad copies, broken disks and hostile hands do to bytes."""

from __future__ import annotations

import re
import struct
from random import Random

# Sizes and offsets at which arithmetic and memory break.
EXTREMES = (0, 1, -1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**20, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**40,
            2**62, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
NUMBERS = (b"0", b"-1", b"1", b"65536", b"2147483648", b"99999999999999999999", b"1e309", b"nan", b"")
WORDS = "bhiqBHIQ"


def mutated(whole: bytes, rng: Random) -> bytes:
    """The file with one to four changes, half of them among its first 512 bytes, where headers are."""
    changed = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        if not changed:
            break
        reach = min(len(changed), 512) if rng.random() < 0.5 else len(changed)
        rng.choice(_CHANGES)(changed, rng.randrange(reach), rng)
    return bytes(changed)


def _flip(data: bytearray, at: int, rng: Random) -> None:
    data[at] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, at: int, rng: Random) -> None:
    data[at] = rng.randrange(256)


def _word(data: bytearray, at: int, rng: Random) -> None:
    """A whole number of 1 to 8 bytes, in either order, aligned or not, set to an extreme or moved by a little."""
    kind, order = rng.choice(WORDS), rng.choice("<>")
    size = struct.calcsize(kind)
    at -= at % size if rng.random() < 0.5 else 0
    if at + size > len(data):
        return
    value = rng.choice(EXTREMES)
    if rng.random() < 0.3:
        value = struct.unpack_from(order + kind, data, at)[0] + rng.randint(-3, 3)
    data[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little" if order == "<" else "big")


def _number(data: bytearray, at: int, rng: Random) -> None:
    """The next number that is written as text."""
    match = re.compile(rb"-?\d+(\.\d+)?").search(data, at, at + 200)
    if match:
        data[match.start() : match.end()] = rng.choice(NUMBERS)


def _cut(data: bytearray, at: int, rng: Random) -> None:
    del data[at:]


def _delete(data: bytearray, at: int, rng: Random) -> None:
    del data[at : at + rng.choice((1, 2, 4, 8, 64))]


def _copy(data: bytearray, at: int, rng: Random) -> None:
    start, size = rng.randrange(len(data)), rng.choice((1, 4, 8, 32, 256))
    block = data[start : start + size]
    if rng.random() < 0.5:
        data[at:at] = block
    else:
        data[at : at + len(block)] = block


def _append(data: bytearray, at: int, rng: Random) -> None:
    data += rng.randbytes(rng.choice((1, 16, 1000)))


_CHANGES = (_flip, _byte, _word, _word, _word, _number, _cut, _delete, _copy, _append)
