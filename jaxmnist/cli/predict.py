"""The predict command: anybody's picture of a digit, read by a network."""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jaxmnist.cli.exit_codes import BAD_INPUT
from jaxmnist.cli.options import DataOptions, OptionalPath, Run, select_device
from jaxmnist.runs import folder as run_folder

if TYPE_CHECKING:
    import numpy as np

    from jaxmnist.cli.predict_text import Reading
    from jaxmnist.handwriting.normalise import Normalised

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""Pictures in a folder; a file that is named is read whatever it is called."""
STANDARD_INPUT = "standard input"
MANY = 20
"""Pictures that take so long that progress is shown."""
SHOWN = 8
"""Digits in the picture that --show draws, at the most."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Read digits from pictures: PNG, JPEG, BMP or WebP of any size, dark on light or light on dark.

    A network knows only what it was trained on, so a picture is first made what MNIST would have made of it: paper and
    ink are told apart, the light is levelled, the digit is fitted into 20×20 pixels and its centre of mass is put at
    the centre of 28×28. The digit read is the one with the largest of the ten outputs, and the confidence is that
    output; how often a network is right at which confidence, jaxmnist evaluate measures. A reading is called doubtful
    when the second largest output comes within 0.5 of it (as best's does on 3 % of MNIST's test images, more than half
    of its mistakes among them), when no output reaches 0.3, when the strokes are wider than in all but 0.4 % of
    MNIST's images, or when several stand side by side. Nonsense can pass all that: a network that has only seen digits
    may be sure of a letter.
    """

    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE…", help_behavior_hint="")]
    """Pictures, folders of pictures, or - for a picture from standard input. The paper should fill the picture."""
    run: Run = "best"
    """Whose network reads: a run's folder, its weights file, or one that comes with jaxmnist, trained by the recipe of its name: best or source."""  # noqa: E501
    split: bool = False
    """Read several digits in a row, from left to right; they must not touch each other."""
    json: bool = False
    """Print one JSON object instead of text: every reading with its ten activations, and every error."""
    show: bool = False
    """Draw the first digits as predict.png, in a folder of its own: original, normalised 28×28 pixels, activations."""
    run_dir: OptionalPath = None
    """New folder for the picture of --show (default: runs/<time>-predict)."""


def run(options: Options) -> int:
    """Read every picture that can be read.

    Returns:
        The exit code: 0, or 2 when a picture or a digit couldn't be read, after a line about it.

    Raises:
        ValueError: for a run that is none or computes no numbers, and when no picture is named.
        OSError: for files that can't be read or written.
    """
    if options.run_dir is not None and not options.show:
        raise ValueError(
            f"--run-dir {options.run_dir}: is for the picture of --show, which isn't asked for; add --show"
        )
    names, errors = _pictures(options.images)
    run_folder.refuse_used(options.run_dir)
    select_device(DataOptions(platform="cpu"))  # an accelerator takes longer to start than a thousand digits to read

    import numpy as np

    from jaxmnist.cli import predict_text
    from jaxmnist.metrics import outputs
    from jaxmnist.runs.checkpoint import load_network

    network = load_network(options.run)
    digits: list[tuple[str, int, int, Normalised]] = []
    originals: list[np.ndarray] = []
    for picture, name in enumerate(_with_progress(names)):
        try:
            grey, found = _normalised(name, options.split)
        except (ValueError, OSError) as problem:
            errors.append((name, _told(name, problem)))
            continue
        for place, digit in enumerate(found):
            if isinstance(digit, ValueError):
                errors.append((name, f"{name}, {place + 1} from the left: {digit}"))
                continue
            digits.append((name, picture, place, digit))
            if options.show and len(originals) < SHOWN:
                originals.append(grey)
    readings = []
    if digits:
        images = np.stack([digit.image for *_where, digit in digits])
        read = np.asarray(outputs(network.params, images, network.config.activation, network.config.cost))
        if not np.isfinite(read).all():
            raise ValueError(
                f"run {options.run}: its weights are so large that outputs aren't finite numbers; choose another run"
            )
        readings = [
            predict_text.Reading(*digit, several=options.split, outputs=activations)
            for digit, activations in zip(digits, read, strict=True)
        ]
    if options.json:
        print(predict_text.as_json(options.run, readings, errors))
    elif readings:
        print("\n".join(predict_text.lines(readings)))
    for _name, error in errors:
        print(f"error: {' '.join(error.split())}", file=sys.stderr)
    if options.show and readings:
        folder = _draw(options, readings, originals)
        print(f"in {folder}: predict.png", file=sys.stderr if options.json else sys.stdout)
    return BAD_INPUT if errors else 0


def _pictures(words: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The names of the pictures, and the words that stand for none, each with the reason.

    Raises:
        ValueError: when there is no word, or standard input is meant twice.
    """
    if not words:
        raise ValueError("no picture: expected the name of at least one, a folder of some, or - for standard input")
    names: list[str] = []
    errors: list[tuple[str, str]] = []
    for word in words:
        try:
            names += _meant(word)
        except (ValueError, OSError) as problem:
            errors.append((word, _told(word, problem)))
    if names.count(STANDARD_INPUT) > 1:
        raise ValueError("-: standard input can be read only once; leave the second out")
    return names, errors


def _meant(word: str) -> list[str]:
    """The names of the pictures that a word stands for: those in a folder in their order, or one."""
    if word == "-":
        return [STANDARD_INPUT]
    if not word:
        raise ValueError("'': an empty name, expected a picture's, a folder's, or - for standard input")
    if not Path(word).is_dir():
        return [word]
    inside = sorted(str(path) for path in Path(word).iterdir() if path.suffix.lower() in SUFFIXES)
    if not inside:
        raise ValueError(f"{word}: a folder without pictures, expected some named {', '.join(SUFFIXES)}")
    return inside


def _told(name: str, problem: Exception) -> str:
    """Why there is no reading; begins with the name, which an operating system's errors have elsewhere or nowhere."""
    reason = problem.strerror if isinstance(problem, OSError) else None
    return f"{name}: {reason}, expected a picture that can be read" if reason else str(problem)


def _normalised(name: str, several: bool) -> "tuple[np.ndarray, Sequence[Normalised | ValueError]]":
    """A picture's brightness, and its digits as MNIST would have them; errors begin with its name."""
    from jaxmnist.handwriting.decode import read_file, read_stream
    from jaxmnist.handwriting.normalise import normalise, split

    grey = read_stream(sys.stdin.buffer, name) if name == STANDARD_INPUT else read_file(Path(name))
    try:
        return grey, split(grey) if several else [normalise(grey)]
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from problem


def _with_progress(names: Sequence[str]) -> Iterable[str]:
    """The names, one after the other; of many, a bar on a terminal shows how far it is."""
    from tqdm import tqdm

    bar: Iterable[str] = tqdm(names, unit="picture", disable=None if len(names) > MANY else True, dynamic_ncols=True)
    return bar


def _draw(options: Options, readings: "Sequence[Reading]", originals: "Sequence[np.ndarray]") -> Path:
    """Draw the first readings in a new folder.

    Returns:
        The folder.
    """
    import numpy as np

    from jaxmnist.plots.predict import picture
    from jaxmnist.plots.style import png
    from jaxmnist.runs.files import write_atomically

    shown = list(zip(readings, originals, strict=False))[:SHOWN]
    more = f"the first {len(shown)} of {len(readings):,} digits, " if len(readings) > len(shown) else ""
    figure = picture(
        [original for _reading, original in shown],
        [reading.normalised for reading, _original in shown],
        np.stack([reading.outputs for reading, _original in shown]),
        [reading.title for reading, _original in shown],
        [reading.doubts() for reading, _original in shown],
        f"{more}read by {options.run}",
    )
    with run_folder.created(options.run_dir, "predict") as folder:
        write_atomically(folder / "predict.png", png(figure))
    return folder
