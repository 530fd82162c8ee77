"""The kernels of flood fills alone, against their contracts in kernels/neighborhood/table.h."""

import ctypes

import numpy as np
import pytest

import kernels
from guarded import place

pytestmark = kernels.needs_headers
SIZES = (1, 7, 8, 63, 64, 65, 127, 128, 129, 200)
WORD = np.dtype([("open", "u8"), ("set", "u8"), ("fresh", "u8"), ("next", "i8")])


def neighborhood():
    return kernels.table().neighborhood


def queue(words, **fields):
    """A fill of words, of which all may change."""
    fields = {"high": words.size, "first": -1, "last": 0, **fields}
    return kernels.arguments("fc_flood", words=words, **fields)


def bits(words, field, n):
    """The first n pixels of words as bytes."""
    return np.unpackbits(np.ascontiguousarray(words[field]).view(np.uint8), bitorder="little")[:n]


def waiting(q, words):
    """The words in the queue, in their order."""
    at, found = q._obj.first, []
    while at >= 0:
        found.append(at)
        at = words["next"][at] if at != q._obj.last else -1
    return found


@pytest.mark.parametrize("at_end", [False, True])
def test_lines_become_words(isa, rng, at_end):
    for n in SIZES:
        for flips in ((0, 0), (1, 0), (0, 1), (1, 1)):
            pixels = [place(rng.choice(np.array([0, 0, 1, 128, 255], np.uint8), n), at_end) for _ in range(2)]
            chosen, may = (np.where(flip, line == 0, line != 0) for flip, line in zip(flips, pixels, strict=True))
            for seeded, masked in ((True, True), (True, False), (False, True)):
                for head, tail in ((0, n), (1, n - 1), (-3, n + 2), (70, n), (0, -5)):
                    words = place(np.zeros(-(-n // 64) + 1, WORD), at_end)
                    words["open"] = words["fresh"] = words["set"] = 2**64 - 1
                    q = queue(words)
                    line = {"at": 1, "n": n, "head": head, "tail": tail, "flip_set": flips[0], "flip_may": flips[1]}
                    line |= {"set": pixels[0]} if seeded else {}
                    line |= {"may": pixels[1]} if masked else {}
                    neighborhood().flood_begin(q, kernels.arguments("fc_flood_line", **line))
                    edge = (np.arange(n) < head) | (np.arange(n) >= tail)
                    begun = chosen & seeded
                    free = (may if masked else True) & ~begun
                    np.testing.assert_array_equal(bits(words[1:], "fresh", n), begun | (free & edge))
                    np.testing.assert_array_equal(bits(words[1:], "open", n), free & ~edge)
                    assert not words["set"][1:].any()
                    beyond = np.unpackbits((words["open"] | words["fresh"])[1:].view(np.uint8), bitorder="little")[n:]
                    assert not beyond.any()
                    assert words[0].tolist() == (2**64 - 1, 2**64 - 1, 2**64 - 1, 0)
                    assert waiting(q, words) == [i for i in range(1, words.size) if words["fresh"][i]]


@pytest.mark.parametrize("flip", [0, 1])
def test_words_become_lines(isa, rng, flip):
    for n in SIZES:
        words = np.zeros(-(-n // 64), WORD)
        words["set"] = rng.integers(0, 2**64, words.size, np.uint64)
        out = place(np.full(n, 7, np.uint8), at_end=True)
        neighborhood().flood_end(kernels.at(words), kernels.at(out), n, flip)
        np.testing.assert_array_equal(out, bits(words, "set", n) ^ flip)


@pytest.mark.parametrize("up", [0, 1])
@pytest.mark.parametrize("down", [0, 1])
def test_runs_within_a_word(isa, rng, up, down):
    """Any pattern, by the definition: a bit passes to its neighbours that are open."""
    for _ in range(300):
        free = rng.random(64) < rng.choice([0.3, 0.6, 0.9, 1.0])
        found = rng.random(64) < rng.choice([0.02, 0.2])
        words = np.zeros(1, WORD)
        words["open"] = np.packbits(free & ~found, bitorder="little").view("u8")
        words["fresh"] = np.packbits(found, bitorder="little").view("u8")
        neighborhood().flood_some(queue(words, first=0, up=up, down=down), 1)
        while True:
            more = found.copy()
            more[1:] |= found[:-1] & free[1:] & bool(up)
            more[:-1] |= found[1:] & free[:-1] & bool(down)
            if np.array_equal(more, found):
                break
            found = more
        np.testing.assert_array_equal(bits(words, "set", 64), found)
        np.testing.assert_array_equal(bits(words, "open", 64), free & ~found)
        assert not words["fresh"].any()


def test_targets(isa, rng):
    """A word passes rotated bits to others, of which only some may change, and those wait once."""
    words = np.zeros(9, WORD)
    words["open"] = rng.integers(0, 2**64, 9, np.uint64) | rng.integers(0, 2**64, 9, np.uint64)
    words["open"][4] = 0
    before = words["open"].copy()
    fresh = words["fresh"][4] = rng.integers(0, 2**64, dtype=np.uint64)
    target, end = np.array([-4, -3, 1, 2, 4]), np.array([1, 3, 4, 6, 7])
    turn, kept = rng.integers(0, 64, 7), rng.integers(0, 2**64, 7, np.uint64)
    turn[0] = 0
    q = queue(words, low=1, high=8, first=4, last=4, target=target, end=end, turn=turn, kept=kept, targets=5)
    neighborhood().flood_some(q, 1)
    expected, first = np.zeros(9, np.uint64), 0
    for to, last in zip(target, end, strict=True):
        for i in range(first, last):
            turned = (int(fresh) << int(turn[i]) | int(fresh) >> (64 - int(turn[i]))) % 2**64
            expected[4 + to] |= np.uint64(turned) & kept[i] & before[4 + to]
        first = last
    expected[[0, 8]] = 0
    np.testing.assert_array_equal(words["fresh"], expected)
    np.testing.assert_array_equal(words["open"], before ^ expected)
    assert waiting(q, words) == [i for i in (1, 5, 6) if expected[i]]
    assert words["set"][4] == fresh


def test_words_pass_on_again(isa):
    words = np.zeros(6, WORD)
    words["set"] = [1, 0, 2, 3, 4, 5]
    words["fresh"] = [0, 0, 0, 8, 0, 0]
    q = queue(words, first=3, last=3)
    neighborhood().flood_again(q, 1, 5)
    assert waiting(q, words) == [3, 2, 4]
    assert words["fresh"].tolist() == [0, 0, 2, 8, 4, 0]


@pytest.mark.parametrize("standing", [False, True])
def test_no_image_takes_more_visits_than_it_has_pixels(isa, rng, standing):
    """A way of one pixel's width to and fro, between neighbours of the cross: the worst there is."""
    lines, width = 65, 3
    way = np.zeros((lines, width * 64), bool)
    if standing:
        way[:, ::2] = way[-1, 1::4] = way[0, 3::4] = True
    else:
        way[::2] = True
        way[1::4, -1] = way[3::4, 0] = True
    closed = width + 1
    words = np.zeros((lines + 2) * closed, WORD)
    words["open"].reshape(-1, closed)[1:-1, :width] = np.packbits(way, axis=1, bitorder="little").view("u8")
    words["open"][closed] ^= np.uint64(1)
    words["fresh"][closed] = 1
    target, end = np.array([-closed, -1, 1, closed]), np.arange(1, 5)
    turn, kept = np.array([0, 63, 1, 0]), np.array([2**64 - 1, 2**63, 1, 2**64 - 1], np.uint64)
    fields = {"target": target, "end": end, "turn": turn, "kept": kept, "targets": 4, "up": 1, "down": 1}
    q = queue(words, low=closed, high=words.size - closed, first=closed, last=closed, **fields)
    visits = 0
    while q._obj.first >= 0:
        neighborhood().flood_some(q, 1)
        visits += 1
    rows = words["set"].reshape(-1, closed)[1:-1, :width]
    np.testing.assert_array_equal(np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1, bitorder="little"), way)
    assert visits <= way.sum()
    assert ctypes.sizeof(kernels.TYPES["fc_flood_word"]) == WORD.itemsize
