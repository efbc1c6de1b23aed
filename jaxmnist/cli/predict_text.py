"""What the predict command says: readings in, lines of text or JSON out."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmnist.studies.characters import bar, beside, shaded
from jaxmnist.handwriting.normalise import Normalised

UNSURE = 0.5
"""How close the second digit's output makes a reading doubtful. The packaged networks' come so close on 3 % (best) and
6 % (source) of MNIST's test images, and on half of those that they read wrong."""
UNLIKE = 0.3
"""Largest output of what looks like no digit: source has less on 1 % of MNIST's test images; best, whose ten
add up to 1, hardly ever."""
WIDEST_PEN = 5.5
"""In pixels of 28: 306 of MNIST's 70,000 images have wider strokes, up to 9.3, so a network has seen few such."""
BARS = "▁▂▃▄▅▆▇█"


class Reading(NamedTuple):
    """What a network made of one digit.

    Attributes:
        name: the picture's.
        picture: which of the pictures, from 0; one may be given twice.
        place: which of the picture's digits, from 0, left to right.
        normalised: as MNIST would have it.
        several: whether the picture was to have several.
        outputs: the ten activations.
    """

    name: str
    picture: int
    place: int
    normalised: Normalised
    several: bool
    outputs: Float[np.ndarray, "10"]

    @property
    def digit(self) -> int:
        """The digit read."""
        return int(self.outputs.argmax())

    @property
    def confidence(self) -> float:
        """The largest output, 0 to 1."""
        return float(self.outputs.max())

    @property
    def title(self) -> str:
        """Which picture, and which digit of it."""
        return f"{self.name}, {self.place + 1} from the left" if self.several else self.name

    def doubts(self) -> list[str]:
        """Why the reading may be wrong, in words."""
        second = int(self.outputs.argsort()[-2])
        unlike = self.confidence < UNLIKE
        unsure = not unlike and self.confidence - self.outputs[second] < UNSURE
        found = self.normalised
        reasons = (
            (unlike, f"unlike any digit, no output reaches {UNLIKE}"),
            (unsure, f"unsure, next is {second} with {self.outputs[second]:.2f}"),
            (
                found.pen > WIDEST_PEN,
                f"strokes {found.pen:.1f} of 28 pixels wide, wider than in all but 0.4 % of MNIST's images",
            ),
            (
                found.digits > 1 and not self.several,
                f"{found.digits} strokes side by side, try --split if they are digits",
            ),
        )
        return [reason for applies, reason in reasons if applies]


def lines(readings: Sequence[Reading]) -> list[str]:
    """All that is known of one reading, or a line for each of several."""
    return _one(readings[0]) if len(readings) == 1 else _many(readings)


def as_json(run: str, readings: Sequence[Reading], errors: Sequence[tuple[str, str]]) -> str:
    """Readings and errors as a JSON object.

    Args:
        run: whose network it was.
        readings: of all pictures that could be read.
        errors: of those that couldn't, name and reason.
    """
    found = [
        {
            "image": reading.name,
            "place": reading.place,
            "digit": reading.digit,
            "confidence": round(reading.confidence, 6),
            "activations": [round(float(output), 6) for output in reading.outputs],
            "doubts": reading.doubts(),
            "dark_on_light": reading.normalised.dark_on_light,
            "box": list(reading.normalised.box),
            "pen": round(reading.normalised.pen, 3),
        }
        for reading in readings
    ]
    unread = [{"image": name, "error": problem} for name, problem in errors]
    return json.dumps({"run": run, "readings": found, "errors": unread}, ensure_ascii=False, indent=2, allow_nan=False)


def _one(reading: Reading) -> list[str]:
    ink = "dark on light, so inverted" if reading.normalised.dark_on_light else "light on dark, as in MNIST"
    rows = [f"{digit}  {output:4.2f}  {bar(output, 40)}" for digit, output in enumerate(reading.outputs.tolist())]
    return [
        f"{reading.title}: {reading.digit}, confidence {reading.confidence:.2f} ({ink})",
        *(f"doubtful: {reason}" for reason in reading.doubts()),
        *beside(shaded(reading.normalised.image / 255), ["", "the ten outputs", *rows]),
    ]


def _many(readings: Sequence[Reading]) -> list[str]:
    table = []
    for reading in readings:
        bars = "".join(BARS[min(7, int(8 * output))] for output in reading.outputs.tolist())
        doubts = f"  (doubtful: {'; '.join(reading.doubts())})" if reading.doubts() else ""
        table.append(f"{reading.digit:^5}  {reading.confidence:^10.2f}  {bars}  {reading.title}{doubts}")
    by_picture: dict[int, list[Reading]] = {}
    for reading in readings:
        by_picture.setdefault(reading.picture, []).append(reading)
    rows = [_row(row) for row in by_picture.values()] if readings[0].several else []
    doubtful = sum(bool(reading.doubts()) for reading in readings)
    return [
        "digit  confidence  0123456789  picture",
        *table,
        *rows,
        f"{_count(len(readings), 'digit')} in {_count(len(by_picture), 'picture')}, {doubtful:,} doubtful",
    ]


def _row(readings: Sequence[Reading]) -> str:
    """A picture's digits as they stand side by side; a question mark where one couldn't be read."""
    read = {reading.place: str(reading.digit) for reading in readings}
    digits = "".join(read.get(place, "?") for place in range(readings[0].normalised.digits))
    return f"{readings[0].name}: {digits}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
