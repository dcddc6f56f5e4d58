"""The compiled loops of a hash table from texts to numbers.

Nothing here allocates: whoever calls (:mod:`olad_core.graph.text_table`) has reserved the space.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from olad_core.graph.arrays import Int32s, Int64s, Integer, UInt8s, UInt64s
from olad_core.graph.compiled import AHEAD, compiled, prefetch

USED, GIVEN_UP, END, FREE = range(4)


class Texts(NamedTuple):
    """The arrays of a table. Numbers are reused once their text is erased.

    Attributes:
        table: int64, a power of two long: ``tag << 32 | number`` in open addressing, -1 where free.
        start: int64, where each number's text begins in the pool.
        length: int32, its bytes; 0 where the number is not in use.
        tag: int32, 31 bits of its hash.
        pool: uint8.
        free: int32, stack of numbers that are not in use.
        sizes: int64 [4]: bytes of the pool in use, those of erased texts among them, numbers ever used, free numbers.
    """

    table: Int64s
    start: Int64s
    length: Int32s
    tag: Int32s
    pool: UInt8s
    free: Int32s
    sizes: Int64s


class Slices(NamedTuple):
    """Texts as parts of an array of bytes; a length of 0 stands for no text."""

    text: UInt8s
    start: Int64s
    length: Int32s


@compiled
def _turned(number: Integer, bits: Integer) -> Integer:
    return (number << np.uint64(bits)) | (number >> np.uint64(64 - bits))


@compiled
def _round(a: Integer, b: Integer, c: Integer, d: Integer) -> tuple[Integer, Integer, Integer, Integer]:
    a += b
    c += d
    b = _turned(b, 13) ^ a
    d = _turned(d, 16) ^ c
    a = _turned(a, 32)
    c += b
    a += d
    b = _turned(b, 17) ^ c
    d = _turned(d, 21) ^ a
    c = _turned(c, 32)
    return a, b, c, d


@compiled
def siphash(text: UInt8s, start: Integer, length: Integer, key: UInt64s) -> Integer:
    """SipHash-1-3 of a part of ``text``: what CPython hashes its strings with."""
    a, b = key[0] ^ np.uint64(0x736F6D6570736575), key[1] ^ np.uint64(0x646F72616E646F6D)
    c, d = key[0] ^ np.uint64(0x6C7967656E657261), key[1] ^ np.uint64(0x7465646279746573)
    at, end = start, start + length
    while at <= end:
        word = np.uint64(0)
        for place in range(min(8, end - at)):
            word |= np.uint64(text[at + place]) << np.uint64(8 * place)
        if at + 8 > end:
            word |= np.uint64(length & 255) << np.uint64(56)
        d ^= word
        a, b, c, d = _round(a, b, c, d)
        a ^= word
        at += 8
    c ^= np.uint64(255)
    for _ in range(3):
        a, b, c, d = _round(a, b, c, d)
    return np.uint64(a ^ b ^ c ^ d)


@compiled
def hash_all(slices: Slices, key: UInt64s, hashes: UInt64s) -> None:
    """SipHash-1-3 of every text."""
    for at in range(hashes.size):
        hashes[at] = siphash(slices.text, slices.start[at], np.int64(slices.length[at]), key)


@compiled
def _tag(slices: Slices, at: Integer, key: UInt64s) -> Integer:
    hashed = siphash(slices.text, slices.start[at], np.int64(slices.length[at]), key)
    return np.int64(hashed & np.uint64(0x7FFFFFFF))


@compiled
def _is_text(texts: Texts, number: Integer, slices: Slices, at: Integer) -> bool:
    length = slices.length[at]
    if texts.length[number] != length:
        return False
    mine, other = texts.start[number], slices.start[at]
    same = True
    for place in range(length):
        same &= texts.pool[mine + place] == slices.text[other + place]
    return same


@compiled
def _find(texts: Texts, tag: Integer, slices: Slices, at: Integer) -> Integer:
    """Place of a text in the hash table, or the free place where it belongs."""
    mask = texts.table.size - 1
    place = tag & mask
    while texts.table[place] >= 0:
        found = texts.table[place]
        if found >> 32 == tag and _is_text(texts, found & 0xFFFFFFFF, slices, at):
            return place
        place = (place + 1) & mask
    return place


@compiled
def _enter(texts: Texts, tag: Integer, place: Integer, slices: Slices, at: Integer) -> Integer:
    """Give a text a number, and this free place of the hash table."""
    sizes = texts.sizes
    if sizes[FREE] > 0:
        sizes[FREE] -= 1
        number = np.int64(texts.free[sizes[FREE]])
    else:
        number = sizes[END]
        sizes[END] += 1
    length, start = slices.length[at], sizes[USED]
    for byte in range(length):
        texts.pool[start + byte] = slices.text[slices.start[at] + byte]
    sizes[USED] = start + length
    texts.start[number] = start
    texts.length[number] = length
    texts.tag[number] = tag
    texts.table[place] = (tag << 32) | number
    return number


@compiled
def _call(texts: Texts, tags: Int64s, at: Integer) -> None:
    """Have the cache fetch what finding the next texts reads."""
    last, mask = tags.size - 1, texts.table.size - 1
    prefetch(texts.table, np.int64(tags[min(at + 3 * AHEAD, last)] & mask))
    soon = texts.table[tags[min(at + 2 * AHEAD, last)] & mask]
    if soon >= 0:
        prefetch(texts.start, soon & 0xFFFFFFFF)
        prefetch(texts.length, soon & 0xFFFFFFFF)
    next_one = texts.table[tags[min(at + AHEAD, last)] & mask]
    if next_one >= 0:
        prefetch(texts.pool, texts.start[next_one & 0xFFFFFFFF])


@compiled
def intern(texts: Texts, slices: Slices, key: UInt64s, numbers: Int64s, new: Int64s) -> int:
    """Find or enter every text; how many numbers are in ``new``."""
    # The tags stand where the numbers will.
    for at in range(numbers.size):
        numbers[at] = _tag(slices, at, key)
    count = 0
    for at in range(numbers.size):
        _call(texts, numbers, at)
        tag = numbers[at]
        numbers[at] = -1
        if slices.length[at] > 0:
            place = _find(texts, tag, slices, at)
            if texts.table[place] < 0:
                new[count] = _enter(texts, tag, place, slices, at)
                count += 1
            numbers[at] = texts.table[place] & 0xFFFFFFFF
    return count


@compiled
def find_all(texts: Texts, slices: Slices, key: UInt64s, numbers: Int64s) -> None:
    """Find every text; -1 where it has no number."""
    for at in range(numbers.size):
        numbers[at] = _tag(slices, at, key)
    for at in range(numbers.size):
        _call(texts, numbers, at)
        tag = numbers[at]
        numbers[at] = -1
        if slices.length[at] > 0:
            found = texts.table[_find(texts, tag, slices, at)]
            if found >= 0:
                numbers[at] = found & 0xFFFFFFFF


@compiled
def erase_all(texts: Texts, numbers: Int64s) -> None:
    """Take texts out and give up their numbers."""
    table, mask = texts.table, texts.table.size - 1
    for number in numbers:
        if texts.length[number] == 0:
            continue
        hole = np.int64(texts.tag[number]) & mask
        while table[hole] & 0xFFFFFFFF != number:
            hole = (hole + 1) & mask
        at = (hole + 1) & mask
        while table[at] >= 0:
            # An entry that was pushed on by the hole moves back into it.
            if ((at - (table[at] >> 32)) & mask) >= ((at - hole) & mask):
                table[hole] = table[at]
                hole = at
            at = (at + 1) & mask
        table[hole] = -1
        texts.sizes[GIVEN_UP] += texts.length[number]
        texts.length[number] = 0
        texts.free[texts.sizes[FREE]] = number
        texts.sizes[FREE] += 1


@compiled
def move_table(old: Int64s, new: Int64s) -> None:
    """Enter all that is in a table into an empty one of another size."""
    mask = new.size - 1
    for entry in old:
        if entry >= 0:
            place = (entry >> 32) & mask
            while new[place] >= 0:
                place = (place + 1) & mask
            new[place] = entry


@compiled
def compact(texts: Texts, pool: UInt8s) -> None:
    """Copy the texts that are in use into another pool, without holes."""
    end = 0
    for number in range(texts.sizes[END]):
        start = texts.start[number]
        texts.start[number] = end
        for byte in range(texts.length[number]):
            pool[end] = texts.pool[start + byte]
            end += 1
    texts.sizes[USED] = end
    texts.sizes[GIVEN_UP] = 0


@compiled
def measure(texts: Texts, numbers: Int64s, offsets: Int64s) -> None:
    """Where each text begins when they stand one after the other; ``offsets`` begins with 0."""
    for at in range(numbers.size):
        length = np.int64(texts.length[numbers[at]]) if numbers[at] >= 0 else np.int64(0)
        offsets[at + 1] = offsets[at] + length


@compiled
def gather(texts: Texts, numbers: Int64s, offsets: Int64s, text: UInt8s) -> None:
    """Copy texts to these places."""
    for at in range(numbers.size):
        first, length = offsets[at], offsets[at + 1] - offsets[at]
        for byte in range(length):
            text[first + byte] = texts.pool[texts.start[numbers[at]] + byte]
