"""The predict command: a network reads the digits in anybody's pictures."""

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from jaxtyping import Float, UInt8

from jaxmnist.cli.console import BAD_INPUT, complain, progress, say
from jaxmnist.cli.drawing import figures_of, write_figures
from jaxmnist.cli.options import DataOptions, OptionalPath, RunName, run_name, select_device
from jaxmnist.handwriting.decode import is_of_macos, read_file, read_stream
from jaxmnist.handwriting.doubts import doubts
from jaxmnist.handwriting.normalise import Normalised, normalise, split
from jaxmnist.metrics import outputs
from jaxmnist.runs import folder
from jaxmnist.runs.checkpoint import load_network
from jaxmnist.studies.characters import bar, beside, shaded

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")  # in a folder; not of a file that is named
STANDARD_INPUT = "standard input"
EIGHTHS = "▁▂▃▄▅▆▇█"
FEW_PICTURES, MOST_DRAWN = 20, 8  # progress is shown for more pictures; --show draws no more digits
MOST_KINDS = 5  # suffixes named when other files of a folder are passed over

figures = figures_of("predict")


@dataclasses.dataclass(frozen=True)
class Options:
    """Read digits from pictures: PNG, JPEG, BMP, WebP or GIF of any size, dark on light or light on dark.

    A network knows only what it was trained on, so each picture is first made what MNIST would have made of it: paper
    and ink are separated, shadows are levelled, printed boxes and lines left out, the digit is fitted into 20×20 pixels
    and its centre of mass put at the centre of 28×28. The digit read is the one with the largest of the ten outputs,
    and the confidence is that output; jaxmnist evaluate measures how often a network is right at each confidence.

    A reading is called doubtful if the second largest output is less than 0.5 below it (as best's is on 3 % of MNIST's
    test images, more than half of its mistakes among them), if no output reaches 0.3, if the strokes are wider than in
    all but 0.4 % of MNIST's images, if several stand side by side, or if the digit touched something printed, or has a
    line over or under it. Nonsense can pass all that: a network that has only seen digits may be sure of a letter.
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
    """A digit in a picture."""

    name: str  # of the picture
    picture: int  # its index
    position: int  # of the digit, from the left
    title: str
    normalised: Normalised


Reading = tuple[Digit, Float[np.ndarray, "10"], list[str]]  # with a network's ten outputs, and why they may be wrong
Errors = list[tuple[str, str]]  # what can't be read: the picture's name, and the error, which begins with it


def run(options: Options) -> int:
    """Read every picture that can be read; return 2 if a picture or a digit couldn't be, after a line about it."""
    if options.run_dir is not None and not options.show:
        raise ValueError(f"run_dir={options.run_dir}: is for the figure of --show; add --show")
    errors: Errors = []
    names = _pictures(options.images, errors)
    folder.refuse_used(options.run_dir)
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
            readings.append((digit, row, doubts(row, digit.normalised, options.split)))
    if options.json:
        problems = [{"image": name, "error": error} for name, error in errors]
        content = {"run": options.run, "readings": [_record(*reading) for reading in readings], "errors": problems}
        lines = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False).split("\n")
    else:
        lines = _report(readings, options.split) if len(readings) > 1 else _report_one(*readings[0]) if readings else []
    for line in lines:
        say(line)
    for _name, error in errors:
        complain(error)
    if originals:
        with folder.created(options.run_dir, "predict") as run_dir:
            _write_figure(run_dir, options.run, readings, originals)
            if drawn := folder.listed(run_dir):
                say(f"in {run_dir}: {drawn}", on_stderr=options.json)
    return BAD_INPUT if errors else 0


@contextmanager
def _noting(name: str, errors: Errors) -> Iterator[None]:
    """Note why a picture can't be read, beginning with its name, which the problem's own text may lack."""
    beginning = f"{name or repr(name)}: "
    try:
        yield
    except OSError as problem:
        errors.append((name, f"{beginning}{problem.strerror or problem}, expected a picture that can be read"))
    except ValueError as problem:
        errors.append((name, beginning + str(problem).removeprefix(beginning)))
    except MemoryError:
        errors.append((name, f"{beginning}too large for this machine's memory; scale the picture down"))


def _pictures(words: Sequence[str], errors: Errors) -> list[str]:
    """The names of the pictures, those in folders in their order."""
    if not words:
        raise ValueError("no picture: expected the name of at least one, a folder of some, or - for standard input")
    names: list[str] = []
    for word in words:
        with _noting(word, errors):
            if not word:
                raise ValueError("an empty name, expected a picture's, a folder's, or - for standard input")
            names += _inside(Path(word)) if Path(word).is_dir() else [STANDARD_INPUT if word == "-" else word]
    if names.count(STANDARD_INPUT) > 1:
        raise ValueError("-: standard input can be read only once; leave the second out")
    return names


def _inside(folder: Path) -> list[str]:
    """The names of the pictures in a folder, in their order; say how many other files are passed over.

    What macOS (`._7.png`) and others hide there isn't counted, nor are folders.
    """
    files = [path for path in sorted(folder.iterdir()) if not is_of_macos(path)]
    pictures = [str(path) for path in files if path.suffix.lower() in SUFFIXES]
    others = Counter(
        path.suffix.lower() or "without a suffix"
        for path in files
        if path.suffix.lower() not in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(MOST_KINDS))
    if not pictures:
        found = f", found {kinds}" if kinds else ""
        raise ValueError(f"a folder without pictures, expected some named {', '.join(SUFFIXES)}{found}")
    if others:
        count = f"{others.total():,} other file{'s' if others.total() > 1 else ''}"
        say(f"note: {folder}: {count} passed over ({kinds})", on_stderr=True)
    return pictures


def _normalised_digits(names: Sequence[str], options: Options, errors: Errors) -> tuple[list[Digit], list[np.ndarray]]:
    """The digits in the pictures, and the pictures of those that --show draws."""
    digits: list[Digit] = []
    originals: list[np.ndarray] = []
    with progress(len(names), "pictures", lines=0) if len(names) > FEW_PICTURES else nullcontext() as advance:
        for picture, name in enumerate(names):
            with _noting(name, errors):
                grey = _standard_input() if name == STANDARD_INPUT else read_file(Path(name))
                for position, digit in enumerate(split(grey) if options.split else [normalise(grey)]):
                    title = f"{name}, {position + 1} from the left" if options.split else name
                    if isinstance(digit, ValueError):
                        errors.append((name, f"{title}: {digit}"))
                        continue
                    digits.append(Digit(name, picture, position, title, digit))
                    if options.show and len(originals) < MOST_DRAWN:
                        originals.append(grey)
            if advance:
                advance(1)
    return digits, originals


def _standard_input() -> UInt8[np.ndarray, "height width"]:
    if sys.stdin is None:  # closed by the shell, as in `jaxmnist predict - <&-`
        raise ValueError("is closed, expected a picture there, as in jaxmnist predict - < 7.png")
    return read_stream(sys.stdin.buffer.read, STANDARD_INPUT)


def _record(digit: Digit, row: Float[np.ndarray, "10"], reasons: Sequence[str]) -> dict[str, object]:
    normalised = digit.normalised
    return {
        "image": digit.name,
        "place": digit.position,
        "digit": int(row.argmax()),
        "confidence": round(float(row.max()), 6),
        "activations": [round(float(output), 6) for output in row],
        "doubts": reasons,
        "dark_on_light": normalised.dark_on_light,
        "box": normalised.box,
        "pen": round(normalised.pen, 3),
    }


def _report_one(digit: Digit, row: Float[np.ndarray, "10"], reasons: Sequence[str]) -> list[str]:
    ink = "dark on light, so inverted" if digit.normalised.dark_on_light else "light on dark, as in MNIST"
    bars = [f"{index}  {output:4.2f}  {bar(output, 40)}" for index, output in enumerate(row.tolist())]
    return [
        f"{digit.title}: {row.argmax()}, confidence {row.max():.2f} ({ink})",
        *(f"doubtful: {reason}" for reason in reasons),
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
    return [*lines, f"{count}, {sum(bool(reasons) for *_, reasons in readings):,} doubtful"]


def _write_figure(run_dir: Path, run: str, readings: Sequence[Reading], originals: Sequence[np.ndarray]) -> None:
    """Draw the first readings, as many as there are originals, named by their files and without private paths."""
    some = f"the first {len(originals)} of {len(readings):,} digits, " if len(readings) > len(originals) else ""
    shown = [
        (grey, digit.normalised, row, Path(digit.name).name + digit.title[len(digit.name) :], reasons)
        for grey, (digit, row, reasons) in zip(originals, readings, strict=False)
    ]
    write_figures(run_dir, figures, shown, f'{some}read by the network "{run_name(run)}"')
