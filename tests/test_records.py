import json
import os

import pytest

from jaxmnist.config import Config
from jaxmnist.runs.records import CONFIG, MAX_JSON_BYTES, PROGRESS, SUMMARY, TRAINED, check_record, read_json, recipe

GOOD = {
    "config": (CONFIG, {"seed": 0, "dataset": "mnist", "data_dir": None, "data_sha256": "0", "origin": "here"}),
    "summary": (SUMMARY, {"epochs": 2, "test_accuracy": 1}),
    "checkpoint": (PROGRESS, {"epoch": 0, "seconds": {}}),
    "seconds": (TRAINED, {"train": 0.1}),
}
NO_TEXT, NO_NUMBER = (None, 1, [], {}, "x" * 5_000), (None, "x", True, [], {}, float("nan"), float("inf"), -1, 10**30)
WRONG = {
    ("config", "seed"): (*NO_NUMBER, 1.5, 2**32),
    ("config", "dataset"): NO_TEXT,
    ("config", "data_dir"): NO_TEXT[1:],
    ("config", "data_sha256"): NO_TEXT,
    ("config", "origin"): NO_TEXT,
    ("config", "command"): NO_TEXT[1:],
    ("summary", "epochs"): (*NO_NUMBER, 1.5),
    ("summary", "test_accuracy"): (*NO_NUMBER, 1.5),
    ("summary", "problem"): NO_TEXT[1:],
    ("checkpoint", "epoch"): (*NO_NUMBER, 1.5),
    ("checkpoint", "seconds"): (None, "x", [], 1, *({"train": value} for value in NO_NUMBER)),
    ("seconds", "train"): (*NO_NUMBER, 0),
}


@pytest.mark.parametrize(("record", "name"), WRONG)
def test_a_value_that_breaks_a_rule_is_refused_by_file_and_name(record, name, tmp_path):
    rules, good = GOOD[record]
    check_record(tmp_path, good, rules)
    for value in WRONG[record, name]:
        with pytest.raises(ValueError, match=rf"^{tmp_path}: {name} is .*, expected "):
            check_record(tmp_path, {**good, name: value}, rules)
    if None in WRONG[record, name]:
        with pytest.raises(ValueError, match=f"{name} is missing, expected "):
            check_record(tmp_path, {other: value for other, value in good.items() if other != name}, rules)


def test_an_error_stays_short(tmp_path):
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    for value in ("x" * 10**6, list(range(10**5)), deep, 10**4000):
        for refuse in (lambda value=value: check_record(tmp_path, {"seed": value}, CONFIG),
                       lambda value=value: recipe(tmp_path, {"config": {"sizes": [value], "epochs": value}}),
                       lambda value=value: recipe(tmp_path, {"config": value})):  # fmt: skip
            with pytest.raises(ValueError, match=f"^{tmp_path}: ") as refusal:
                refuse()
            assert len(str(refusal.value)) < 800


def test_a_recipe_is_read_and_a_bad_one_names_the_file(tmp_path):
    assert recipe(tmp_path, {"config": Config().to_json()}) == Config()
    for bad in (None, [1], {}, {**Config().to_json(), "momentum": "x"}, {**Config().to_json(), "epochs": 0}):
        with pytest.raises(ValueError, match=rf"^{tmp_path}: .*expected "):
            recipe(tmp_path, {"config": bad})


def test_json_of_any_utf_8_editor_is_read(tmp_path):
    (tmp_path / "file").write_text(json.dumps({"η": [1, None]}, ensure_ascii=False), encoding="utf-8-sig")
    assert read_json(tmp_path / "file", {}) == {"η": [1, None]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"[]", "found list"),
        (b"{", "Expecting"),
        (b'{"seed": NaN}', "NaN isn't JSON"),
        (b"\xff", "decode"),
        (b"[" * 200_000, "recursion"),
        (b"9" * 5_000, "4300 digits"),
        (b" " * MAX_JSON_BYTES + b"{}", "at most 1,048,576 bytes"),
    ],
    ids=range(8),
)
def test_a_file_without_an_object_is_refused_by_name(tmp_path, content, said):
    if content is not None:
        (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"file\.json.*{said}"):
        read_json(tmp_path / "file.json", {})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_a_pipe_is_refused_unread(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="expected a regular file"):
        read_json(tmp_path / "pipe", {})
