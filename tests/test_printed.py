import numpy as np
import pytest
from photographs import PENS, written

from jaxmnist.handwriting.printed import without_printed


def sheet(*drawn):
    mask = np.zeros((120, 160), bool)
    for rows, columns in drawn:
        mask[rows, columns] = True
    return mask


ONE = (slice(40, 80), slice(70, 74))
COMB = [(slice(90, 92), slice(30, 121)), *((slice(70, 90), slice(x, x + 2)) for x in (30, 50, 93, 119))]
BOX = [(slice(20, 22), slice(40, 120)), (slice(98, 100), slice(40, 120)),
       (slice(20, 100), slice(40, 42)), (slice(20, 100), slice(118, 120))]  # fmt: skip


@pytest.mark.parametrize(
    "printed",
    [
        BOX,
        [(slice(0, 120), slice(0, 6))],
        [(slice(0, 4), slice(0, 160)), (slice(0, 120), slice(150, 160))],
        [(slice(95, 97), slice(0, 160))],
        [(slice(30, 31), slice(30, 120))],
        [(slice(0, 120), slice(20, 22)), (slice(0, 120), slice(130, 132))],
        [(slice(98, 100), slice(start, start + 6)) for start in range(10, 150, 10)],
        [(slice(20, 26), slice(6, 12)), (slice(90, 96), slice(6, 12))],
        COMB,
        [(slice(90, 92), slice(0, 160)), *COMB[1:]],
    ],
    ids=[
        "box",
        "scan's edge",
        "two edges",
        "rule below",
        "rule above",
        "two walls",
        "dashed rule",
        "holes",
        "comb",
        "comb through the picture",
    ],
)
def test_what_is_printed_is_dropped_and_a_straight_one_is_left(printed):
    assert np.array_equal(without_printed(sheet(ONE, *printed)), sheet(ONE))


@pytest.mark.parametrize(
    "drawn",
    [
        BOX,  # nothing inside: it may be a 0
        [(slice(0, 120), slice(70, 80))],
        [(slice(0, 10), slice(0, 160)), (slice(0, 120), slice(100, 110))],  # a 7 that fills the picture
        [(slice(20, 25), slice(50, 90)), (slice(20, 90), slice(68, 73))],  # a 7 like a T
        [(slice(60, 64), slice(30, 90)), (slice(30, 100), slice(70, 74))],
    ],
    ids=["a box alone", "one", "seven", "T", "cross"],
)
def test_a_digit_alone_is_left_whatever_its_shape(drawn):
    assert np.array_equal(without_printed(sheet(*drawn)), sheet(*drawn))


def test_the_arms_of_a_four_are_no_ticks():
    four = [(slice(60, 63), slice(60, 100)), (slice(40, 60), slice(62, 65)), (slice(40, 90), slice(88, 91))]
    hole = (slice(20, 30), slice(40, 50))
    assert np.array_equal(without_printed(sheet(*four, hole)), sheet(*four, hole))


def test_a_thick_digit_that_fills_its_box_is_left():
    digit = [(slice(24, 40), slice(44, 116)), (slice(24, 98), slice(80, 96))]
    left = without_printed(sheet(*BOX, *digit))
    assert (left & sheet(*digit)).sum() >= 0.95 * sheet(*digit).sum()  # but for what lies on the box's line


def test_a_digit_that_crosses_a_rule_keeps_the_crossing():
    left = without_printed(sheet((slice(40, 80), slice(70, 76)), (slice(60, 62), slice(0, 160))))
    assert np.array_equal(left, sheet((slice(40, 80), slice(70, 76))))


@pytest.mark.parametrize("pen", PENS)
def test_drawn_digits_lose_nothing(pen):
    random = np.random.default_rng(0)
    for label in [*range(10)] * 3:
        digit = written(label, pen, random)
        mask = np.pad(
            digit[:: random.integers(2, 5), :: random.integers(2, 5)] > 0.5, random.integers(0, 60, 4).reshape(2, 2)
        )
        assert np.array_equal(without_printed(mask), mask)
