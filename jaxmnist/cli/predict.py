"""The predict command: a network reads the digits in anybody's pictures."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from jaxtyping import Float

from jaxmnist.cli.console import BAD_INPUT, complain, progress
from jaxmnist.cli.options import DataOptions, OptionalPath, RunName, select_device
from jaxmnist.handwriting.decode import read_file, read_stream
from jaxmnist.handwriting.doubts import doubts
from jaxmnist.handwriting.normalise import Normalised, normalise, split
from jaxmnist.metrics import outputs
from jaxmnist.plots.predict import figures
from jaxmnist.plots.style import png
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.runs.files import write_atomically
from jaxmnist.studies.characters import bar, beside, shaded

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""Pictures in a folder; a file that is named is read whatever its suffix."""
STANDARD_INPUT = "standard input"
MANY_PICTURES, MOST_DRAWN = 20, 8
"""Progress is shown for more pictures than MANY_PICTURES; --show draws at most MOST_DRAWN digits."""
EIGHTHS = "▁▂▃▄▅▆▇█"


@dataclasses.dataclass(frozen=True)
class Options:
    """Read digits from pictures: PNG, JPEG, BMP or WebP of any size, dark on light or light on dark.

    A network knows only what it was trained on, so each picture is first made what MNIST would have made of it: paper
    and ink are separated, uneven light is levelled, the digit is fitted into 20×20 pixels and its centre of mass put at
    the centre of 28×28. The digit read is the one with the largest of the ten outputs, and the confidence is that
    output; jaxmnist evaluate measures how often a network is right at each confidence. A reading is called doubtful
    if the second largest output is less than 0.5 below it (as best's is on 3 % of MNIST's test images, more than half
    of its mistakes among them), if no output reaches 0.3, if the strokes are wider than in all but 0.4 % of MNIST's
    images, or if several stand side by side. Nonsense can pass all that: a network that has only seen digits
    may be sure of a letter.
    """

    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE…", help_behavior_hint="")]
    """Pictures, folders of pictures, or - for a picture from standard input. The paper should fill the picture."""
    run: RunName = "best"
    """Whose network reads: a run's folder, its weights file, or one that comes with jaxmnist, trained by the recipe of its name: best or source."""  # noqa: E501
    split: bool = False
    """Read several digits in a row, from left to right; they must not touch."""
    json: bool = False
    """Print one JSON object instead of text: every reading with its ten activations, and every error."""
    show: bool = False
    """Draw the first digits as predict.png, in a folder of its own: original, normalised 28×28 pixels, activations."""
    run_dir: OptionalPath = None
    """New folder for the figure of --show (default: runs/<time>-predict)."""


class Digit(NamedTuple):
    """A digit, the name and index of its picture, its position there from the left, and a title for it."""

    name: str
    picture: int
    position: int
    title: str
    normalised: Normalised


class Reading(NamedTuple):
    """A network's ten outputs for a digit, and why they may be wrong."""

    digit: Digit
    outputs: Float[np.ndarray, "10"]
    doubts: list[str]


Errors = list[dict[str, str]]
"""What can't be read: the name of an `image`, and the `error`, which begins with it."""


def run(options: Options) -> int:
    """Read every picture that can be read; return 2 if a picture or a digit couldn't be, after a line about it."""
    if options.run_dir is not None and not options.show:
        raise ValueError(f"run_dir={options.run_dir}: is for the figure of --show; add --show")
    names, errors = _pictures(options.images)
    run_folder.refuse_used(options.run_dir)
    select_device(DataOptions(platform="cpu"))  # an accelerator takes longer to start than a thousand digits to read
    network = load_network(options.run)
    digits, originals = _normalised_digits(names, options, errors)
    readings: list[Reading] = []
    if digits:
        images = np.stack([digit.normalised.image for digit in digits])
        rows = np.asarray(outputs(network.params, images, network.config.activation, network.config.cost))
        if not np.isfinite(rows).all():
            raise ValueError(f"run={options.run}: its weights are so large that outputs aren't finite; choose another")
        for digit, row in zip(digits, rows, strict=True):
            readings.append(Reading(digit, row, doubts(row, digit.normalised, options.split)))
    if options.json:
        content = {"run": options.run, "readings": [_record(reading) for reading in readings], "errors": errors}
        print(json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False))
    elif readings:
        print("\n".join(_report_one(readings[0]) if len(readings) == 1 else _report(readings, options.split)))
    for error in errors:
        complain(error["error"])
    if originals:
        with run_folder.created(options.run_dir, "predict") as folder:
            write_atomically(folder / "predict.png", _drawn(options.run, readings, originals))
        print(f"in {folder}: predict.png", file=sys.stderr if options.json else sys.stdout)
    return BAD_INPUT if errors else 0


def _pictures(words: Sequence[str]) -> tuple[list[str], Errors]:
    """The names of the pictures, those in folders in their order, and the words that name none."""
    if not words:
        raise ValueError("no picture: expected the name of at least one, a folder of some, or - for standard input")
    names: list[str] = []
    errors: Errors = []
    for word in words:
        try:
            if not word:
                raise ValueError("an empty name, expected a picture's, a folder's, or - for standard input")
            inside = [STANDARD_INPUT if word == "-" else word]
            if Path(word).is_dir():
                inside = sorted(str(path) for path in Path(word).iterdir() if path.suffix.lower() in SUFFIXES)
            if not inside:
                raise ValueError(f"a folder without pictures, expected some named {', '.join(SUFFIXES)}")
            names += inside
        except (ValueError, OSError) as problem:
            errors.append({"image": word, "error": _message(word, problem)})
    if names.count(STANDARD_INPUT) > 1:
        raise ValueError("-: standard input can be read only once; leave the second out")
    return names, errors


def _message(name: str, problem: Exception) -> str:
    """Why a picture can't be read, beginning with its name, which the problem's own text may lack."""
    beginning, text = f"{name or repr(name)}: ", str(problem)
    if isinstance(problem, OSError) and problem.strerror:
        text = f"{problem.strerror}, expected a picture that can be read"
    return beginning + text.removeprefix(beginning)


def _normalised_digits(names: Sequence[str], options: Options, errors: Errors) -> tuple[list[Digit], list[np.ndarray]]:
    """The digits in the pictures, and the pictures of those that will be drawn; adds to `errors` what can't be read."""
    digits: list[Digit] = []
    originals: list[np.ndarray] = []
    with progress(len(names), "pictures", lines=0) if len(names) > MANY_PICTURES else nullcontext() as advance:
        for picture, name in enumerate(names):
            try:
                grey = read_stream(sys.stdin.buffer, name) if name == STANDARD_INPUT else read_file(Path(name))
                groups = split(grey) if options.split else [normalise(grey)]
            except (ValueError, OSError) as problem:
                errors.append({"image": name, "error": _message(name, problem)})
                groups = []
            for position, group in enumerate(groups):
                title = f"{name}, {position + 1} from the left" if options.split else name
                if isinstance(group, ValueError):
                    errors.append({"image": name, "error": f"{title}: {group}"})
                    continue
                digits.append(Digit(name, picture, position, title, group))
                if options.show and len(originals) < MOST_DRAWN:
                    originals.append(grey)
            if advance:
                advance(1)
    return digits, originals


def _record(reading: Reading) -> dict[str, object]:
    digit = reading.digit.normalised
    return {
        "image": reading.digit.name,
        "place": reading.digit.position,
        "digit": int(reading.outputs.argmax()),
        "confidence": round(float(reading.outputs.max()), 6),
        "activations": [round(float(output), 6) for output in reading.outputs],
        "doubts": reading.doubts,
        "dark_on_light": digit.dark_on_light,
        "box": digit.box,
        "pen": round(digit.pen, 3),
    }


def _report_one(reading: Reading) -> list[str]:
    digit, row = reading.digit, reading.outputs
    ink = "dark on light, so inverted" if digit.normalised.dark_on_light else "light on dark, as in MNIST"
    bars = [f"{index}  {output:4.2f}  {bar(output, 40)}" for index, output in enumerate(row.tolist())]
    return [
        f"{digit.title}: {row.argmax()}, confidence {row.max():.2f} ({ink})",
        *(f"doubtful: {reason}" for reason in reading.doubts),
        *beside(shaded(digit.normalised.image / 255), ["", "the ten outputs", *bars]),
    ]


def _report(readings: Sequence[Reading], several: bool) -> list[str]:
    """A line for each reading; with several digits in a picture then one for each picture, ? for what isn't read."""
    lines = ["digit  confidence  0123456789  picture"]
    pictures: dict[int, list[str]] = {}
    for digit, row, reasons in readings:
        bars = "".join(EIGHTHS[min(7, int(8 * output))] for output in row.tolist())
        doubtful = f"  (doubtful: {'; '.join(reasons)})" if reasons else ""
        lines.append(f"{row.argmax():^5}  {row.max():^10.2f}  {bars}  {digit.title}{doubtful}")
        texts = pictures.setdefault(digit.picture, [f"{digit.name}: ", *"?" * digit.normalised.digits])
        texts[digit.position + 1] = str(row.argmax())
    if several:
        lines += ["".join(texts) for texts in pictures.values()]
    count = f"{len(readings):,} digits in {len(pictures):,} picture{'s' if len(pictures) > 1 else ''}"
    return [*lines, f"{count}, {sum(bool(reading.doubts) for reading in readings):,} doubtful"]


def _drawn(run: str, readings: Sequence[Reading], originals: Sequence[np.ndarray]) -> bytes:
    """The first readings, as many as there are originals, as a PNG file's content."""
    digits, rows, reasons = zip(*readings[: len(originals)], strict=True)
    some = f"the first {len(digits)} of {len(readings):,} digits, " if len(readings) > len(digits) else ""
    normalised, titles = [digit.normalised for digit in digits], [digit.title for digit in digits]
    return png(figures(originals, normalised, np.stack(rows), titles, reasons, f"{some}read by {run}")["predict"])
