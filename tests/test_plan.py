import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist import devices, population
from jaxmnist.config import Config
from jaxmnist.dataset import Dataset
from jaxmnist.devices import compiled, topology
from jaxmnist.devices.compiled import Program
from jaxmnist.devices.topology import Speed, Topology
from jaxmnist.metrics import Metrics
from jaxmnist.studies import plan

TEXT = (Path(__file__).parent / "data" / "compiled-for-v5e.txt").read_text()
"""What libtpu 0.0.42.1 makes for four chips of `in_loops`, without the origins of its lines."""
SMALL = Config(sizes=(784, 10), epochs=2)
FEW = 600
NO_SPEED = Speed("cycles", 1.0, "nothing is measured then")


def in_loops(mesh):
    """Trace a function that makes 3 × 5 steps, and a mean over all devices in each."""

    def share(weights, images):
        def step(weights, _):
            return weights - jax.lax.pmean(images.T @ (images @ weights), "batch"), None

        return jax.lax.scan(lambda weights, _: jax.lax.scan(step, weights, None, length=5), weights, None, length=3)[0]

    whole, shared = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("batch")
    divided = jax.shard_map(share, mesh=mesh, in_specs=(whole, shared), out_specs=whole, check_vma=False)
    weights, images = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((128, 8), (64, 128)))
    return jax.jit(divided).trace(compiled.placed(weights, mesh), compiled.placed(images, mesh, "batch"))


def test_loops_count_as_often_as_they_turn():
    """Two fusions of 533 and 1,832 cycles, and an all-reduce without an estimate, 15 times; 1,849 cycles before."""
    assert compiled.collectives(TEXT) == {"all-reduce": 15}
    assert compiled.cycles(TEXT) == (15 * (533 + 1832) + 1849, {"all-reduce": 15})


def test_a_loop_of_unknown_length_turns_once():
    text = re.sub(r"constant\([35]\)", "parameter(9)", TEXT)
    assert compiled.collectives(text) == {"all-reduce": 1}
    known = re.sub(r"( while\(.*)$", r'\1, backend_config={"known_trip_count":{"n":"7"}}', text, flags=re.MULTILINE)
    assert compiled.collectives(known) == {"all-reduce": 49}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("  %a = (f32[8], f32[8]) all-gather-start(%b), channel_id=1", "all-gather"),
        ("  ROOT %a = f32[8] reduce-scatter(%b), channel_id=1", "reduce-scatter"),
        ("  %a = f32[8] all-gather-done(%b)", None),
        ("  %a = f32[8] fusion(%b), kind=kCustom, calls=%inner", "collective-permute"),
        ("  %a = f32[8] call(%b), to_apply=%inner", "collective-permute"),
        ("  %a = f32[8] conditional(%b, %c), branch_computations={%inner, %other}", "collective-permute"),
        ("  %all-reduce.1 = f32[8] add(%b, %c)", None),
    ],
)
def test_every_kind_of_communication_is_found(line, kind):
    inner = "%inner (b: f32[8]) -> f32[8] {\n  ROOT %p = f32[8] collective-permute(%b), channel_id=2\n}\n"
    other = "%other (b: f32[8]) -> f32[8] {\n  ROOT %p = f32[8] parameter(0)\n}\n"
    text = f"HloModule m\n\n{inner}\n{other}\nENTRY %main (b: f32[8]) -> f32[8] {{\n{line}\n}}\n"
    assert compiled.collectives(text) == ({kind: 1} if kind else {})


def test_a_program_is_read_on_this_machine():
    mesh = devices.mesh(jax.devices()[:1], "batch")
    program = compiled.compile_ahead(in_loops(mesh), jax.devices()[0].platform)
    assert program.flops == 15 * 2 * (2 * 64 * 128 * 8)
    assert (program.arguments, program.outputs) == (4 * (128 * 8 + 64 * 128), 4 * 128 * 8)
    assert (program.cycles, program.unestimated) == (None, {})


def test_flops_are_those_of_the_matrix_products():
    """First layer: forward and its weights' gradient; the others: also their inputs' gradient."""
    sweep = plan.Sweep(Config(batch_size=50), 1, 1, 6)
    epoch = plan.trace(sweep, topology.describe("cpu:1"))[plan.TRAIN_EPOCH]
    assert compiled.count_flops(epoch.jaxpr.jaxpr) == plan.EXAMPLES * (4 * 784 * 16 + 6 * (16 * 16 + 16 * 10))


def test_the_planned_programs_are_those_of_a_sweep(monkeypatch):
    """Traced and lowered, they are the same text as what `train_group` calls."""
    monkeypatch.setattr(plan, "EXAMPLES", FEW)
    here = topology.describe("cpu:1")
    planned = plan.trace(plan.Sweep(SMALL, 5, 3, 6), here)
    called = {}

    def record(name, function, result):
        def call(*arguments):
            called[name] = function.lower(*arguments).as_text()
            if result is None:
                raise InterruptedError
            return result

        monkeypatch.setattr(population, function.__name__, call)

    record(plan.EVALUATE, population.evaluate_many, Metrics(jnp.zeros(3), jnp.zeros(3)))
    record(plan.SWEEP_EPOCH, population.train_group_epoch, None)
    data = Dataset(jnp.zeros((FEW, 784), jnp.uint8), jnp.zeros(FEW, jnp.uint8))
    learnt, held_out = (Dataset(*(leaf[:count] for leaf in data)) for count in (FEW // 6 * 5, FEW // 6))
    members = population.make_members([(0.9, 0.1)], range(3))
    config, mesh = SMALL.resolved(FEW // 6 * 5), devices.mesh(here.devices, "population")
    with pytest.raises(InterruptedError):
        population.train_group(members, 3, jax.random.key(0), learnt, held_out, config, mesh=mesh)
    assert called == {name: planned[name].lower().as_text() for name in called}
    assert called.keys() == {plan.EVALUATE, plan.SWEEP_EPOCH}


def programs(**changes):
    amounts = {plan.TRAIN_EPOCH: 30, plan.TRAIN_MEASURE: 20, plan.START: 10, plan.SWEEP_EPOCH: 500, plan.EVALUATE: 40}
    return {
        name: Program(1, 2, 3, 1000 * amount, {}, amount, {})._replace(**changes) for name, amount in amounts.items()
    }


@pytest.mark.parametrize(("unit", "train", "sweep"), [("cycles", 120, 1130), ("FLOPs", 120_000, 282_500)])
def test_the_model_of_time(unit, train, sweep):
    """Two groups of two epochs. FLOPs are those of all four devices, cycles those of each."""
    pod = Topology("v5e:2x2", [None] * 4, 4, 16, Speed(unit, 2.0, "a guess"))
    of = plan.Sweep(SMALL, 10, 2, 6)
    assert plan.layout(of, pod)[:3] == (2, 1, 8)  # two groups of five, of which two devices get two each
    seconds = 2 * sweep / 2
    assert plan.predict(of, pod, programs())[1:] == (train / 2, seconds, 4 * seconds / 3600)
    text = plan.report(of, pod, programs(), {plan.TRAIN_EPOCH: 30.0 if unit == "cycles" else 30_000.0})
    assert "error -50%" in text


def test_a_cpu_s_cores_share_a_group():
    """Four programs for five networks each: the predicted time is that of all."""
    here, of = topology.describe("cpu:1")._replace(speed=Speed("FLOPs", 2.0, "a guess")), plan.Sweep(SMALL, 20, 64, 6)
    assert plan.layout(of, here)[:3] == (1, 4, 20)
    alone = plan.Sweep(SMALL, 1, 64, 6)
    assert plan.predict(of, here, programs()).sweep == 4 * plan.predict(alone, here, programs()).sweep
    text = plan.report(of, here, programs(), {"sweep: an epoch, evaluated": 4 * (500_000 + 40_000) / 2})
    assert "in 1 group of 20, 5 a core" in text
    assert "sweep: 1 × 4 × (random starts" in text
    assert "error +0%" in text


@pytest.mark.parametrize(
    ("pod", "made"),
    [
        (Topology("v6e:2x2", [None] * 4, 4, 16, None), programs()),
        (Topology("v5e:2x2", [None] * 4, 4, 16, Speed("cycles", 1.0, "")), {plan.TRAIN_EPOCH: "too large"}),
    ],
)
def test_no_time_is_predicted_from_what_is_not_known(pod, made):
    assert plan.predict(plan.Sweep(SMALL, 10, 2, 6), pod, made) is None
    text = plan.report(plan.Sweep(SMALL, 10, 2, 6), pod, {**programs(), **made}, {})
    assert "No time is predicted" in text
    assert all(f"doesn't compile: {why}" in text for why in made.values() if isinstance(why, str))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--topology", "v9:2x2"], "--topology v9:2x2: expected a generation and a shape in chips that libtpu knows"),
        (["--topology", "nonsense"], "from v2:2x2, v3:2x2, v4:2x2x1, v5e:1x1, v5p:2x2x1, v6e:1x1, tpu7x:2x2x1 on"),
        (["--topology", "cpu"], "--topology cpu: expected from cpu:1 to cpu:"),
        (["--topology", "cpu:-1"], "--topology cpu:-1: expected from cpu:1 to cpu:"),
        (["--topology", "cpu:0"], "--topology cpu:0: expected from cpu:1 to cpu:"),
        (["--topology", "cpu:99"], "--topology cpu:99: expected from cpu:1 to cpu:"),
        (["--topology", "cpu:1", "--networks", 0], "--networks 0: expected from 1 to 1,000,000"),
        (["--topology", "cpu:1", "--networks", 1_000_001], "--networks 1000001: expected from 1 to 1,000,000"),
        (["--topology", "cpu:1", "--group-size", 0], "--group-size 0: expected a whole number from 1"),
        (["--topology", "cpu:1", "--group-size", 100_000], "100,000 networks of 13,002 parameters at once"),
        (["--topology", "cpu:1", "--sizes", 784, 9], "--sizes 784 9: expected"),
        (["--topology", "cpu:1", "--batch-size", 60_001], "--batch-size 60001: expected at most"),
    ],
)
def test_what_cannot_be_planned_is_one_line(words, problem, command):
    code, out, err = command("plan", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert problem in err


def test_a_missing_libtpu_is_one_line_with_the_remedy(command, monkeypatch):
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    monkeypatch.setitem(sys.modules, "libtpu", None)
    code, out, err = command("plan", "--topology", "v5e:2x2")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "needs libtpu, which isn't here; install jaxmnist[tpu]" in err


def test_a_program_that_does_not_compile_is_bad_input(command, monkeypatch):
    def compile_ahead(_traced, _platform):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: used 99 GB of 16 GB")

    monkeypatch.setattr("jaxmnist.cli.plan.compile_ahead", compile_ahead)
    monkeypatch.setattr("jaxmnist.cli.plan.describe", lambda name: topology.describe("cpu:1")._replace(speed=NO_SPEED))
    code, out, _err = command("plan", "--networks", 1, "--sizes", 784, 10)
    assert code == 2
    assert out.count("doesn't compile: RESOURCE_EXHAUSTED: used 99 GB of 16 GB\n") == 5


@pytest.mark.slow
def test_this_machine_is_planned_and_measured(command):
    """Here the model's error is known, and printed."""
    words = ("--topology", "cpu:1", "--networks", 3, "--group-size", 2, "--sizes", 784, 10, "--batch-size", 500)
    code, out, err = command("plan", *words)
    assert code == 0, err
    assert "sweep: 3 networks in 2 groups of 2, 1 a core" in out
    assert len(re.findall(r"^.*: predicted \S+ s, measured \S+ s here, error [+-]\d+%$", out, re.MULTILINE)) == 2
    assert "5 of 5 programs compiled for cpu:1" in err
    content = json.loads(command("plan", *words, "--json")[1])
    assert (content["groups"], content["teams"], content["rows"], content["devices"]) == (2, 2, 2, 1)
    assert content["programs"][plan.SWEEP_EPOCH]["flops"] == 50_000 * 4 * 784 * 10  # of a team: one network
    assert content["measured_seconds"].keys() == plan.CHECKED.keys()


@pytest.fixture
def libtpu(monkeypatch):
    """The TPUs' compiler: installed, or in the folder that JAXMNIST_LIBTPU names, for these tests alone."""
    if folder := os.environ.get("JAXMNIST_LIBTPU"):
        monkeypatch.setenv("TPU_LIBRARY_PATH", str(Path(folder) / "libtpu" / "libtpu.so"))
    elif importlib.util.find_spec("libtpu") is None:
        missing = "libtpu isn't installed: pip install --target DIR libtpu, and name DIR with JAXMNIST_LIBTPU"
        if "CI" in os.environ:
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.mark.slow
def test_libtpu_makes_the_stored_text_of_the_same_function(libtpu):
    program = compiled.compile_ahead(in_loops(devices.mesh(topology.describe("v5e:2x2").devices, "batch")), "tpu")
    assert program.collectives == compiled.collectives(TEXT)
    assert program.flops == 15 * 2 * (2 * 64 * 128 * 8)
    assert program.cycles


@pytest.mark.slow
def test_libtpu_knows_every_generation(libtpu, command):
    for kind, generation in topology.GENERATIONS.items():
        smallest = generation.smallest
        found = topology.describe(f"{kind}:{smallest}")
        assert (found.chips, len(found.devices)) == (np.prod([*map(int, smallest.split("x"))]), len(set(found.devices)))
    code, _out, err = command("plan", "--topology", "v5e:3x3")
    assert (code, err.count("\n")) == (2, 1)
    assert "--topology v5e:3x3: " in err
    assert "expected a generation and a shape" in err


@pytest.mark.slow
def test_eight_chips_share_the_minibatches_of_a_wide_network(libtpu):
    """One all-reduce a step: the gradients of all layers and the cost are exchanged as one vector."""
    pod = topology.describe("v5e:2x4")
    traced = plan.trace(plan.Sweep(Config(sizes=(784, 2048, 10), batch_size=1024), 8, 1, 6), pod)[plan.TRAIN_DIVIDED]
    program = compiled.compile_ahead(traced, "tpu")
    steps = plan.EXAMPLES // 1024
    assert program.collectives == {"all-reduce": steps}
    assert program.unestimated["all-reduce"] == steps
    assert program.flops == steps * 1024 * (4 * 784 + 6 * 10) * 2048
    assert program.bytes <= 300e6


@pytest.mark.slow
def test_a_pod_of_256_chips_shares_a_million_networks_without_a_word(libtpu, command):
    """And one chip trains one network: the plan compiles both."""
    code, out, err = command("plan", "--topology", "v5e:16x16", "--networks", 1_000_000, "--json")
    assert code == 0, err
    assert "5 of 5 programs compiled for v5e:16x16" in err
    content = json.loads(out)
    assert (content["chips"], content["groups"], content["rows"]) == (256, 62, 16_384)
    for name, program in content["programs"].items():
        assert program["collectives"] == {}, name
        assert program["arguments"] + program["outputs"] + program["temporaries"] <= 100e6, name
        assert program["cycles"] > 0, name
    assert content["predicted_seconds"]["chip_hours"] > 0


@pytest.mark.slow
def test_what_does_not_fit_does_not_compile(libtpu):
    chip = topology.describe("v5e:1x1")
    traced = plan.trace(plan.Sweep(Config(batch_size=10_000), 70_000, 70_000, 6), chip)[plan.SWEEP_EPOCH]
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        compiled.compile_ahead(traced, "tpu")
