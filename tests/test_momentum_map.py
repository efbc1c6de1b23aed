import runpy
from pathlib import Path

import numpy as np
import pytest
from small_data import small_splits
from small_map import PLAN, steps_of

from jaxmnist.studies import momentum_map as study

SCRIPT = Path(__file__).parent.parent / "notebooks" / "momentum_map.py"
TINY = study.Map({8: 1}, (0.9,), (1.0, 4.0), 1, 2)


def test_the_networks_are_those_that_were_written_down():
    text = SCRIPT.with_suffix(".md").read_text()
    plan, rows = study.FULL, study.methods(study.FULL)
    settings = len(plan.epochs) * len(rows) * len(plan.lengths)
    assert f"{settings} settings and {settings * plan.seeds:,} networks" in text
    for number in (study.EXAMPLES, study.EXAMPLES // study.FOLDS * (study.FOLDS - 1), *plan.momenta):
        assert f"{number:,}" in text
    assert ", ".join(f"{batch_size} ({epochs})" for batch_size, epochs in plan.epochs.items()) in text
    assert (plan.lengths[0], plan.lengths[-1], len(plan.lengths)) == (0.125, 16.0, 15)
    np.testing.assert_allclose(np.diff(np.log2(plan.lengths)), 0.5)
    learnt = study.EXAMPLES // study.FOLDS * (study.FOLDS - 1)
    for batch_size in plan.epochs:  # every part is 1,024 examples, and nothing is left over
        assert study.steps_of_a_part(learnt // batch_size) * batch_size == 1_024
        assert learnt % batch_size == 0


def test_steps_are_interpolated_between_the_middles_of_parts():
    course = np.full((4, 2, 50), 2.5)  # two epochs of 100 steps, parts of two: middles 1, 3, 5, …
    course[0, 0, 3:] = 0.3  # from 2.5 at 5 to 0.3 at 7
    course[1, 1, 0:] = 0.2  # from 2.5 at 99 to 0.2 at 101
    course[2, 0, 0:] = 0.3  # at once
    course[3, 0, 1:] = np.nan
    steps = study.steps_to_thresholds(course, 100)
    np.testing.assert_allclose(steps[0], [5 + 2 * 2.1 / 2.2, np.inf])
    np.testing.assert_allclose(steps[1], [99 + 2 * 2.1 / 2.3, 99 + 2 * 2.25 / 2.3])
    np.testing.assert_allclose(steps[2], [1, np.inf])
    assert np.isinf(steps[3]).all()


def test_learning_rates_are_the_lengths_times_one_minus_momentum():
    asked = study.grid_of(TINY, study.examples(small_splits().train))
    rates = [(config.optimizer, config.learning_rate, config.momentum) for config in asked.configs]
    both = [(method, rate, 0.9) for method in ("momentum", "nesterov") for rate in (0.1, 0.4)]
    assert rates == [("sgd", 1.0, 0.0), ("sgd", 4.0, 0.0), *both]


def test_the_table_is_read_back_and_another_maps_is_refused():
    result = steps_of({})
    again = study.from_csv(study.to_csv(result), PLAN)
    np.testing.assert_array_equal(again.steps, result.steps.round())
    with pytest.raises(ValueError, match="another map"):
        study.from_csv(study.to_csv(result), study.REDUCED)


def test_the_script_keeps_each_group_and_writes_table_figure_and_verdicts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "REDUCED", TINY)
    monkeypatch.setattr("jaxmnist.sources.load", small_splits)
    main = runpy.run_path(str(SCRIPT))["main"]
    main(["--reduced", "--run-dir", str(tmp_path)])
    first = capsys.readouterr().out
    written = {path: path.read_bytes() for path in (tmp_path / "momentum_map.csv", tmp_path / "momentum_map.png")}
    (tmp_path / "groups" / "000001.safetensors").unlink()
    main(["--reduced", "--run-dir", str(tmp_path)])
    second = capsys.readouterr().out
    assert "mnist: 2 of 3 groups are finished" in second
    assert second.count("group ") == 1
    assert {path: path.read_bytes() for path in written} == written
    assert "1 seeds decide nothing in 3 tests" in first
