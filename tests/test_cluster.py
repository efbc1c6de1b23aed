"""Several processes as one program: real processes, killed and frozen; sockets only on 127.0.0.1."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_data import write_idx_files

from jaxmnist.cli import main
from jaxmnist.devices.cluster import found, given
from jaxmnist.devices.lifelines import Address
from jaxmnist.devices.meeting import MissingError, meet

SECONDS = 15.0
"""Longest that a process may take to end when another one is lost."""
GRID = ("sweep", "--dataset", "custom", "--platform", "cpu", "--epochs", 1, "--sizes", 784, 10, "--learning-rate")
GRID = (*GRID, 0.1, 0.3, "--group-size", 4)
FEW, MANY = ("--seeds", 8), ("--seeds", 1_000)
"""Two groups, and 250 on two devices."""
TRAIN = ("train", "--dataset", "custom", "--platform", "cpu", "--sizes", 784, 16, 10, "--batch-size", 16)


SLURM = {"SLURM_JOB_ID": "4242", "SLURM_STEP_NODELIST": "node[07-08]", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"}
SLURM |= {"SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "2"}
OPEN_MPI = {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911", "OMPI_COMM_WORLD_SIZE": "4"}
OPEN_MPI |= {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_idx_files(folder)
    clusters = ("SLURM_", "OMPI_", "KUBERNETES_", "JOB_COMPLETION_INDEX", "XLA_FLAGS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(clusters)}
    proxies = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}  # lead nowhere
    return {**inherited, **proxies, "JAXMNIST_DATA_DIR": str(folder)}


@pytest.fixture
def begin(environment, tmp_path):
    """Starts a command in several processes, each in its own folder; ends what is left of them."""
    begun = []

    def begin(words, processes=2, only=None, devices=1, worker_words=(), **variables):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        own = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        started = []
        for number in range(processes) if only is None else only:
            folder = tmp_path / f"{len(begun)}-{number}"
            folder.mkdir()
            options = ("--coordinator", f"127.0.0.1:{port}", "--processes", processes, "--process-id", number)
            options = () if processes == 1 or variables else options
            own |= {name: value.format(number=number, job=port) for name, value in variables.items()}
            given = (*words, *options, *(worker_words if number else ()))
            command = [sys.executable, "-m", "jaxmnist", *map(str, given)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = subprocess.Popen(command, env={**environment, **own}, cwd=folder, **pipes)
            process.folder, process.number = folder, number
            started.append(process)
        begun.extend(started)
        return started

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def ended(processes, seconds=120):
    """Wait until all have ended; return their exit codes, outputs and errors."""
    results = [process.communicate(timeout=seconds) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, results, strict=True)]


def digests(folder):
    """What must not depend on how often a run was stopped."""
    names = ("sweep.csv", "weights.safetensors")
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names if (folder / name).exists()
    }


def after(folder, pattern, count, process):
    """Wait until there are so many files."""
    while process.poll() is None and len(list(folder.glob(pattern))) < count:
        time.sleep(0.01)


def lose(processes, victim, number):
    """Kill or freeze a process, and return the seconds until all others have ended, with how they did."""
    processes[victim].send_signal(number)
    sent = time.monotonic()
    others = [process for process in processes if process.number != victim]
    results = ended(others, 60)
    took = time.monotonic() - sent
    processes[victim].kill()
    return took, results


def check_lost(results, victim, processes=2):
    for code, _out, err in results:
        assert code == 75, err
        assert "Traceback" not in err
        assert "Fatal" not in err
        last = err.splitlines()[-1]
        assert re.match(rf"error: process {victim} of {processes} (was lost|does not answer|did not come)", last), err


SWEEP_LONG, TRAIN_LONG = (*GRID, *MANY), (*TRAIN, "--epochs", 100_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "number", "words", "file"),
    [
        (0, signal.SIGKILL, TRAIN_LONG, "checkpoint.safetensors.previous"),
        (1, signal.SIGKILL, SWEEP_LONG, "groups/*"),
        (0, signal.SIGSTOP, SWEEP_LONG, "groups/*"),
        (1, signal.SIGSTOP, TRAIN_LONG, "checkpoint.safetensors.previous"),
    ],
    ids=["coordinator killed", "worker killed", "coordinator frozen", "worker frozen"],
)
def test_a_lost_process_ends_all_others_which_name_it(begin, victim, number, words, file):
    processes = begin((*words, "--run-dir", "r"))
    after(processes[0].folder, f"r/{file}", 1, processes[0])
    took, results = lose(processes, victim, number)
    check_lost(results, victim)
    assert all(". To go on: python -m jaxmnist" in err for _code, _out, err in results)
    assert took <= SECONDS
    assert not list(processes[1].folder.iterdir())


@pytest.mark.measured
@pytest.mark.parametrize("victim", [0, 1], ids=["coordinator", "worker"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_process_lost_at_any_moment_costs_nothing(begin, victim, number):
    """Ten times; from the start, when it hasn't come yet, to the drawing."""
    random, took, moments, lost = np.random.default_rng(victim), [], [], 0
    commands = ((*TRAIN, "--epochs", 60, "--start-timeout", 8), (*GRID, *FEW, "--start-timeout", 8))
    whole, durations = [], []
    for words in commands:
        begun, processes = time.monotonic(), begin((*words, "--run-dir", "r"))
        assert [code for code, _out, _err in ended(processes)] == [0, 0]
        durations.append(time.monotonic() - begun)
        whole.append(digests(processes[0].folder / "r"))
    for attempt in range(50):  # some come when all is done
        words, kind = commands[attempt % 2], attempt % 2
        processes = begin((*words, "--run-dir", "r"))
        time.sleep(random.uniform(0, durations[kind]))
        folder = processes[0].folder / "r"
        moments.append(", ".join(sorted(path.name for path in folder.glob("*"))) or "start")
        seconds, results = lose(processes, victim, number)
        if processes[1 - victim].returncode == 0 and (folder / "summary.json").exists():
            continue  # all was done already
        check_lost(results, victim)
        came = "did not come" not in results[0][2]  # else the survivor waits so long for it, from its own start on
        took += [seconds] if came else []
        assert seconds <= (SECONDS if came else 30)
        lost += 1
        print(f"{seconds:.1f} s: {moments[-1] if came else 'before it came'}")
        resumes = (words[0], "--resume", folder) if (folder / "config.json").exists() else (*words, "--run-dir", folder)
        for code, _out, err in ended(begin(resumes)):
            assert code == 0, err
        assert digests(folder) == whole[kind]
        if lost == 10:
            break
    print(f"{lost} lost, {len(took)} after they had met; slowest {max(took):.1f} s, median {np.median(took):.1f} s")
    assert lost == 10


@pytest.mark.slow
def test_a_sweep_of_two_processes_goes_on_in_one_and_only_process_0_writes(begin, tmp_path):
    processes = begin((*GRID, *FEW, "--run-dir", "r"))
    after(processes[0].folder, "r/groups/*", 1, processes[0])
    processes[1].send_signal(signal.SIGTERM)
    (code, _out, err), (worker_code, worker_out, worker_err) = ended(processes)
    assert (code, worker_code, worker_out) == (75, 75, ""), (err, worker_err)
    assert worker_err.startswith("interrupted. To go on: ")
    folder = processes[0].folder / "r"
    (alone,) = begin(("sweep", "--resume", folder), processes=1)
    ((code, _out, err),) = ended([alone])
    assert code == 0, err
    whole = begin((*GRID, *FEW, "--run-dir", "r"))
    (code, out, err), worker = ended(whole)
    assert code == 0, err
    assert worker == (0, "", "")
    assert "Gloo" not in out
    assert not list(whole[1].folder.iterdir())
    lines, again = ((place / "r" / "sweep.csv").read_text().splitlines() for place in (whole[0].folder, folder.parent))
    assert [line.split(",")[:6] for line in lines] == [line.split(",")[:6] for line in again]


def weights(folder):
    return load_file(folder / "r" / "weights.safetensors")


@pytest.mark.slow
def test_training_in_two_processes_is_training_on_two_devices(begin):
    words = (*TRAIN, "--epochs", 3, "--run-dir", "r")
    together, alone = begin(words), begin((*words, "--devices", 2), 1, devices=2)
    ((code, out, err), worker), ((alone_code, _out, alone_err),) = ended(together), ended(alone)
    assert (code, alone_code) == (0, 0), err + alone_err
    assert worker == (0, "", "")
    assert "test accuracy" in out
    assert "Gloo" not in out
    assert not list(together[1].folder.iterdir())
    one, other = weights(together[0].folder), weights(alone[0].folder)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


@pytest.mark.slow
def test_slurm_starts_processes_by_its_own_settings(begin):
    """Its port is that of the job's number."""
    variables = {**SLURM, "SLURM_JOB_ID": "{job}", "SLURM_STEP_NODELIST": "localhost", "SLURM_PROCID": "{number}"}
    (code, out, err), worker = ended(begin((*TRAIN, "--epochs", 1, "--distributed"), **variables))
    assert code == 0, err
    assert "test accuracy" in out
    assert worker == (0, "", "")


@pytest.mark.slow
def test_a_stop_of_any_process_stops_all_after_the_epoch_and_each_layout_goes_on(begin):
    words = (*TRAIN, "--logical-shards", 4, "--epochs", 400)
    first = begin((*words, "--run-dir", "r"))
    folder = first[0].folder / "r"
    for whom in ("worker", "all"):
        processes = first if whom == "worker" else begin(("train", "--resume", folder), devices=2)
        saved = folder / "checkpoint.safetensors.previous"
        before = saved.stat().st_mtime_ns if saved.exists() else 0
        while processes[0].poll() is None and not (saved.exists() and saved.stat().st_mtime_ns > before):
            time.sleep(0.01)
        for process in processes[whom == "worker" :]:
            process.send_signal(signal.SIGTERM)
        (code, _out, err), worker = ended(processes)
        assert (code, worker) == (75, (75, "", "")), err
        assert f". To go on: python -m jaxmnist train --resume {'r' if processes is first else folder} --coord" in err
    alone, whole = begin(("train", "--resume", folder), 1), begin((*words, "--run-dir", "r"), 1, devices=2)
    for code, _out, err in (*ended(alone), *ended(whole)):
        assert code == 0, err
    one, other = load_file(folder / "weights.safetensors"), weights(whole[0].folder)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


@pytest.mark.slow
def test_processes_with_other_data_or_options_are_named(begin, tmp_path):
    write_idx_files(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\1")
    for worker_words, what in ((("--epochs", 4), "an option"), (("--data-dir", tmp_path), "the data")):
        (code, _out, err), worker = ended(begin((*TRAIN, "--epochs", 3), worker_words=worker_words))
        assert (code, err) == (2, f"error: {what} of process 1 differs from process 0's, expected the same in all\n")
        assert worker == (2, "", "error: process 0 ended with an error; see what it says\n")
    (code, _out, err), worker = ended(begin((*TRAIN, "--epochs", 3), worker_words=("--data-dir", tmp_path / "none")))
    assert (code, err) == (75, "error: process 1 of 2 ended with an error; start all processes again\n")
    assert worker[0] == 2
    assert "none" in worker[2]
    assert worker[2].count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("only", "missing"), [((0, 2), "1"), ((1, 2), "0")], ids=["a worker", "process 0"])
def test_a_process_that_never_comes_is_named(begin, only, missing):
    begun = time.monotonic()
    for code, out, err in ended(begin((*GRID, *FEW, "--start-timeout", 5), 3, only)):
        assert (code, out) == (75, "")
        assert err.startswith(f"error: process {missing} of 3 did not come (they count from 0)"), err
        assert err.count("\n") == 1
    assert time.monotonic() - begun < 30  # the 5 seconds, and those that the imports take


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ("--coordinator", "127.0.0.1:9"),
            "--coordinator 127.0.0.1:9: expected --coordinator HOST:PORT, --processes N and --process-id I",
        ),
        (
            ("--distributed", "--process-id", 0),
            "--process-id 0: expected --coordinator HOST:PORT, --processes N and --process-id I",
        ),
        (("--start-timeout", 5), "--start-timeout 5: expected only with"),
        (("--distributed", "--start-timeout", 0), "--start-timeout 0: expected at least 1 second"),
        (
            ("--coordinator", "nowhere", "--processes", 2, "--process-id", 0),
            "--coordinator nowhere: expected HOST:PORT",
        ),
        (("--coordinator", "a:0", "--processes", 2, "--process-id", 0), "--coordinator a:0: expected HOST:PORT"),
        (("--coordinator", "a:99999", "--processes", 2, "--process-id", 0), "a:99999: expected HOST:PORT"),
        (("--coordinator", ":99", "--processes", 2, "--process-id", 0), "--coordinator :99: expected HOST:PORT"),
        (
            ("--coordinator", "a:9", "--processes", 0, "--process-id", 0),
            "--processes 0: expected a whole number from 1",
        ),
        (("--coordinator", "a:9", "--processes", 2, "--process-id", 2), "--process-id 2: expected from 0 to 1"),
        (("--coordinator", "a:9", "--processes", 2, "--process-id", -1), "--process-id -1: expected from 0 to 1"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "cross-validate", "train"])
def test_options_that_do_not_fit_are_one_line(command, words, problem, no_cluster, capsys):
    assert main([command, *map(str, words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert problem in line


@pytest.fixture
def no_cluster(monkeypatch):
    for name in os.environ:
        if name.startswith(("SLURM_", "OMPI_", "KUBERNETES_", "JOB_COMPLETION_INDEX", "JAX_COORDINATOR")):
            monkeypatch.delenv(name)
    return monkeypatch


def test_a_clusters_own_settings_are_found(no_cluster):
    for variables, expected in (
        (SLURM, (("node07", 4242 % 4096 + 61440), 2, 1, [0])),
        (OPEN_MPI, (("10.96.0.1", 1531576320 // 4096 % 4096 + 61440), 4, 3, [1])),
    ):
        with no_cluster.context() as inside:
            for name, value in variables.items():
                inside.setenv(name, value)
            assert found(os.environ, 1) == expected


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, "no cluster found, expected SLURM, Open MPI, Kubernetes or Cloud TPU"),
        (
            {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2"},
            "SLURM_JOB_ID, SLURM_NTASKS set, but not SLURM_STEP_NODELIST, SLURM_PROCID, SLURM_LOCALID, as in a shell",
        ),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}, "SLURM_NTASKS=2, but SLURM_STEP_NUM_TASKS=1, as in a shell inside"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_SIZE set, but not OMPI_MCA_orte_hnp_uri"),
        ({"OMPI_MCA_orte_hnp_uri": "nonsense"}, "JAX can't read this cluster's settings"),
        ({"JOB_COMPLETION_INDEX": "0"}, "JOB_COMPLETION_INDEX set, but not KUBERNETES_SERVICE_HOST"),
        ({**SLURM, "SLURM_NTASKS": "two", "SLURM_STEP_NUM_TASKS": "two"}, "JAX can't read this cluster's settings"),
    ],
)
def test_half_set_variables_are_told_from_a_cluster(variables, problem, no_cluster, capsys):
    for name, value in variables.items():
        no_cluster.setenv(name, value)
    assert main(["sweep", "--distributed"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
    assert "give --coordinator HOST:PORT, --processes N and --process-id I" in line


def test_addresses_of_either_kind():
    assert given("[::1]:80", 1, 0).address == Address("::1", 80)
    assert str(Address("::1", 80)) == "[::1]:80"
    assert str(given("node:80", 1, 0).address) == "node:80"


@pytest.mark.parametrize(
    "words", [("--distributed",), ("--coordinator", "a:9", "--processes", "2", "--process-id", "0")]
)
def test_shards_of_several_processes_are_refused(words, capsys):
    assert main(["sweep", "--shard", "0/2", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --shard 0/2: expected without distributed and coordinator")


# The meeting itself, without JAX: process 0 in a thread.


@pytest.fixture
def address():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return Address("127.0.0.1", port)


def in_threads(*calls):
    """Call functions at the same time; return what they return or raise."""

    def outcome(call):
        try:
            return call()
        except (ValueError, MissingError) as problem:
            return problem

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


def test_processes_meet_whatever_else_connects(address):
    def scan():
        with socket.create_connection(address) as line:
            line.sendall(b"GET / HTTP/1.1\r\n\r\n\xff")

    first, second, third = in_threads(
        lambda: meet(address, 0, 3, 5.0),
        lambda: meet(address, 1, 3, 5.0),
        lambda: (time.sleep(0.2), scan(), meet(address, 2, 3, 5.0))[-1],
    )
    assert sorted(first.sockets) == [1, 2]
    assert sorted(second.sockets) == sorted(third.sockets) == [0]
    for lines in (first, second, third):
        for line in lines.sockets.values():
            line.close()


def test_who_is_missing_or_wrong_is_named(address):
    calls = [lambda: meet(address, 0, 3, 1.0), lambda: meet(address, 1, 3, 5.0)]
    assert [str(problem) for problem in in_threads(*calls)] == ["process 2 of 3 did not come (they count from 0)"] * 2
    (problem,) = in_threads(lambda: meet(address, 1, 3, 0.2))
    assert re.search(
        r"process 0 of 3 did not come .* nothing answers at 127.0.0.1:\d+ \(Connection refused\)", str(problem)
    )
    first, *others = in_threads(
        lambda: meet(address, 0, 2, 1.0), lambda: meet(address, 1, 3, 5.0), lambda: meet(address, 5, 2, 5.0)
    )
    assert "process 1 of 2 did not come" in str(first)
    assert {str(problem).split(":")[0] for problem in others} == {"processes=3", "process_id=5"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (problem,) = in_threads(lambda: meet(Address(*listener.getsockname()), 0, 2, 1.0))
    assert "process 0 can't listen there (Address already in use)" in str(problem)
