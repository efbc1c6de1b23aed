"""What is read back from a run's JSON: each record has its rules, and what breaks one is refused by name."""

import json
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxmnist.config import Config, config_from

MAX_JSON_BYTES = 1 << 20
"""Larger JSON files are refused; a run's take a thousandth of it."""
MAX_EPOCH, MAX_SECONDS, MAX_TEXT = 2**31 - 1, 1e12, 4_096

Rule = tuple[Callable[[Any], bool], str]
"""Whether a value is allowed, and in words what is expected; a missing value is None."""


def _number(least: float, most: float) -> Rule:
    def holds(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most

    return holds, f"a number from {least:g} to {most:g}"


def _whole(most: int) -> Rule:
    def holds(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most

    return holds, f"a whole number from 0 to {most:,}"


def _are_seconds(value: Any) -> bool:
    holds, _ = _number(0.0, MAX_SECONDS)
    return isinstance(value, dict) and all(map(holds, value.values()))


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


TEXT: Rule = (_is_text, f"text of at most {MAX_TEXT:,} characters")
OPTIONAL_TEXT: Rule = (lambda value: value is None or _is_text(value), f"{TEXT[1]}, or null")
OPTIONAL_COUNT: Rule = (
    lambda value: value is None or (_whole(2**31)[0](value) and value > 0),
    "a number from 1, or null",
)

CONFIG = {
    "seed": _whole(2**32 - 1),
    "dataset": TEXT,
    "data_dir": OPTIONAL_TEXT,
    "data_sha256": TEXT,
    "origin": TEXT,
    "command": OPTIONAL_TEXT,
    "logical_shards": OPTIONAL_COUNT,
}
"""Rules of a training run's config.json, besides its recipe."""
GRID_CONFIG = {
    "command": TEXT,
    "arguments": (_are_words, "a list of words"),
    "grid_sha256": TEXT,
    "networks_at_once": OPTIONAL_COUNT,
}
"""Rules of a grid's config.json."""
SUMMARY = {"epochs": _whole(MAX_EPOCH), "test_accuracy": _number(0.0, 1.0), "problem": OPTIONAL_TEXT}
"""Rules of summary.json."""
PROGRESS = {"epoch": _whole(MAX_EPOCH), "seconds": (_are_seconds, "seconds by their purpose")}
"""Rules of what a checkpoint says about itself, besides what must be as in config.json."""
TRAINED = {"train": _number(1e-9, MAX_SECONDS)}
"""Rules of a checkpoint's seconds after the first epoch."""


def read_json(path: Path, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        ValueError: if the file isn't there, isn't a JSON object, or breaks a rule.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES or not path.is_file():
            raise ValueError(f"expected a regular file of at most {MAX_JSON_BYTES:,} bytes")
        content = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise ValueError(f"{path}: {reason}; expected a file that a run wrote") from problem
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(content).__name__}")
    check_record(path, content, rules)
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} isn't JSON")


def check_record(path: Path, record: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Reject a record that a file holds if it breaks a rule; names the file, the value, and what was expected."""
    for name, (holds, expected) in rules.items():
        if not holds(record.get(name)):
            found = reprlib.repr(record[name]) if name in record else "missing"
            raise ValueError(f"{path}: {name} is {found}, expected {expected}")


def recipe(path: Path, record: Mapping[str, Any]) -> Config:
    """Return the recipe in a record that a file holds; the error of a bad one names the file."""
    try:
        return config_from(record.get("config"))
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"{path}: {problem!s:.500}") from problem
