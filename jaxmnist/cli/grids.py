"""What the commands that train a grid share: group by group, in a folder to go on from, alone or in shards."""

import dataclasses
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
import tyro
from jax.sharding import Mesh
from jaxtyping import Array, Key

from jaxmnist import devices
from jaxmnist.cli.cluster import NAMES, ClusterOptions, Member, own_words, together
from jaxmnist.cli.console import Advance, printable, progress, say, started_as
from jaxmnist.cli.drawing import import_meanwhile
from jaxmnist.cli.grid_options import GridOptions, ResumeOptions, shard_of
from jaxmnist.cli.options import load_data, select_device, words
from jaxmnist.devices.cluster import check_same, is_first, share
from jaxmnist.network import Params
from jaxmnist.population import Population
from jaxmnist.runs import folder as run_folder
from jaxmnist.runs import groups as files
from jaxmnist.runs import loop
from jaxmnist.runs.files import clear_temporaries, write_atomically
from jaxmnist.runs.health import GUESSING_ACCURACY
from jaxmnist.runs.records import GRID_CONFIG, read_json
from jaxmnist.runs.results import write_json
from jaxmnist.runs.unfinished import note_how_to_go_on
from jaxmnist.sources import Splits
from jaxmnist.studies import grid as study
from jaxmnist.studies import grid_report

CONFIG = "config.json"
"""The record of a grid: its command and options."""
TABLE_SHARE = 0.02
"""Most share of the time that writing the table may take while networks are trained."""


class Job(NamedTuple):
    """A grid to train, and where."""

    folder: Path
    command: str  # its name
    options: GridOptions
    splits: Splits
    asked: study.Grid  # as the options ask for it
    grid: study.Grid  # resolved; the same settings in the same order
    sha256: str  # of the grid and its data
    mesh: Mesh  # the devices
    member: Member  # this process's part in a program of several

    @property
    def key(self) -> Key[Array, ""]:
        """Decides the folds and the shuffles; 0 and 1 would give the two keys of the network from seed 0."""
        return jax.random.fold_in(jax.random.key(0), 2)


class Command(NamedTuple):
    """A command that trains a grid."""

    name: str
    options: type[GridOptions]
    make: Callable[[Any, Splits], study.Grid]  # the grid that the options ask for
    finish: Callable[[Job, study.Result, dict[str, Any], str], None]  # writes and prints what follows from the results
    table: str  # the name of the CSV file; without its suffix, that of new folders


def parse(command: Command, arguments: Sequence[str], program: str) -> GridOptions | ResumeOptions:
    """Parse the command line of a new grid, or of one to go on with."""
    resumes = any(word.split("=")[0] == "--resume" for word in arguments)
    kind: Any = ResumeOptions if resumes else command.options
    parsed: GridOptions | ResumeOptions = tyro.cli(kind, args=arguments, prog=program)
    return parsed


def run(given: GridOptions | ResumeOptions, command: Command) -> int:
    """Train what is missing of a grid, or of a shard of it, and once nothing is missing finish; return 0."""
    if given.shard and given.cluster != ClusterOptions():
        raise ValueError(
            f"shard={given.shard}: expected without distributed and coordinator, as several processes share every group"
        )
    return together(given.cluster, partial(_run, given, command))


def _run(given: GridOptions | ResumeOptions, command: Command, member: Member) -> int:
    shard, shards = shard_of(given.shard, os.environ) if member is None else (0, 1)
    part = f"{shard}-of-{shards}" if shards > 1 else ""
    options, at_once = _recorded(given, command, member) if isinstance(given, ResumeOptions) else (given, None)
    existing = given.resume if isinstance(given, ResumeOptions) else given.run_dir if part else None
    first = is_first(member)
    if first and not existing:
        run_folder.refuse_used(options.run_dir)
    device = select_device(options.data)
    with jax.default_device(device):
        job = _job(command, options, at_once, device, member)
        if not first:
            return _follow(job, own_words(given.cluster))
        new = run_folder.created(options.run_dir, Path(command.table).stem.replace("_", "-"))
        with run_folder.joined(existing, part) if existing else new as path:
            job = job._replace(folder=path)
            again = f"{started_as(command.name)} --resume {shlex.quote(str(path))}"
            ending = f" --shard {shard}/{shards}" if part else own_words(given.cluster)
            note_how_to_go_on(f"{again}{ending}", path / CONFIG)
            _identify(job)
            share(member, again)
            if not part:
                clear_temporaries(path / files.FOLDER)
            finished, all_groups = _train_share(job, command.table, shard, shards), len(study.groups(job.grid))
            if len(finished) < all_groups:
                say(f"{len(finished):,} of {all_groups:,} groups are finished. When all shards are: {again}")
                return 0
            result = _write_table(job, command.table, finished)
            seconds = sum(float(arrays["seconds"]) for arrays in finished.values())
            command.finish(job, result, *_in_words_and_numbers(job, result, seconds))
    return 0


def _job(command: Command, options: GridOptions, at_once: int | None, device: jax.Device, member: Member) -> Job:
    """Load the data and make the grid; of networks at once, as many as before or else the devices' group sizes."""
    mesh = devices.mesh(devices.several(device, options.devices), "population")
    splits = load_data(options.data)
    asked = command.make(options, splits)
    grid = study.resolved(asked._replace(group_size=at_once or asked.group_size * mesh.size), splits.train)
    sha256 = study.sha256(grid, loop.digest(splits))
    check_same(sha256, "the data or an option")
    return Job(Path(), command.name, options, splits, asked, grid, sha256, mesh, member)


def _follow(job: Job, ending: str) -> NoReturn:
    """As another process than 0: train what process 0 trains, until it ends and so ends this process."""
    note_how_to_go_on(share(job.member, None) + ending)
    while True:
        for _ in _trained(job, []):
            pass


def _trained(job: Job, indices: Sequence[int], advance: Advance = lambda count: None) -> Iterator[Population]:
    """Train some groups, in all processes: those that process 0 wants."""
    divided = study.groups(job.grid)
    chosen = [divided[index] for index in share(job.member, indices)]
    return study.train_groups(job.key, job.grid, job.splits.train, chosen, advance, job.mesh)


def best_network(job: Job, result: study.Result) -> Params:
    """Return the best setting's best network: as its group kept it, or trained once more if no group did."""
    setting = grid_report.order(result)[0]
    divided = study.groups(job.grid)
    scores = -result.accuracy if job.grid.metric == "accuracy" else result.cost
    kept = []
    for index, group in enumerate(divided):
        if setting in group.settings:
            best = study.best_of(job.grid, group, study.of_group(result, group))
            if group.settings[best] == setting:
                kept.append((float(scores[setting, group.fold, group.starts[best]]), index))
    if kept:
        return files.read_best(job.folder, min(kept)[1], job.grid.configs[setting].sizes)
    index = next(index for index, group in enumerate(divided) if setting in group.settings)
    (trained,) = _trained(job, [index])
    row = divided[index].settings.index(setting)
    params: Params = jax.tree.map(lambda leaf: leaf[row], trained.params)
    return params


def _recorded(given: ResumeOptions, command: Command, member: Member) -> tuple[GridOptions, int | None]:
    """Return the options of a grid and its networks at once, by its config.json, which only process 0 reads."""
    path = given.resume / CONFIG
    recorded = share(member, read_json(path, GRID_CONFIG) if is_first(member) else None)
    if recorded["command"] != command.name:
        raise ValueError(f"{path}: is of {recorded['command']}, expected {command.name}; resume it by its own command")
    try:
        options: GridOptions = tyro.cli(command.options, args=recorded["arguments"], console_outputs=False)
    except SystemExit:
        found = f"{path}: arguments are {recorded['arguments']!r:.200}"
        raise ValueError(f"{found}, expected those that {command.name} wrote") from None
    data = options.data
    if data.data_dir is not None and not data.data_dir.is_dir():  # it is gone
        data = dataclasses.replace(data, data_dir=None)
    return dataclasses.replace(options, data=data), recorded.get("networks_at_once")


def _identify(job: Job) -> None:
    """Write config.json, or check that the one that is there is of the same grid and data."""
    path = job.folder / CONFIG
    if path.exists():
        if read_json(path, GRID_CONFIG)["grid_sha256"] != job.sha256:
            problem = "is of another grid or other data, expected the same options and data"
            raise ValueError(f"{path}: {problem}; choose another folder")
        return
    run_folder.refuse_files(job.folder)
    arguments = words(job.options, leave_out=("run_dir", "shard", *NAMES))
    about = {"dataset": job.splits.name, "origin": job.splits.origin}
    content = {"command": job.command, "arguments": arguments, **about, "grid_sha256": job.sha256}
    write_json(path, {**content, "networks_at_once": job.grid.group_size})


def _train_share(job: Job, table: str, shard: int, shards: int) -> dict[int, Mapping[str, Any]]:
    """Train the missing groups of a shard; return all that are finished, those of other shards included."""
    divided = study.groups(job.grid)
    finished, warnings = files.read_groups(job.folder, len(divided), job.sha256)
    for warning in warnings:
        say(f"warning: {warning}", on_stderr=True)
    share = range(shard, len(divided), shards)
    missing = [index for index in share if index not in finished]
    networks, epochs = sum(len(divided[index].starts) for index in share), int(job.grid.configs[0].epochs)
    done = networks - sum(len(divided[index].starts) for index in missing)
    unit = f"epochs ({networks:,} networks × {epochs})"
    with progress(networks * epochs, unit, done=done * epochs) as advance:
        _train_missing(job, table, missing, finished, advance)
    if shards > 1:
        finished, _ = files.read_groups(job.folder, len(divided), job.sha256)
    return finished


def _train_missing(
    job: Job, table: str, missing: Sequence[int], finished: dict[int, Mapping[str, Any]], advance: Advance
) -> None:
    """Train groups and keep each as it ends; every now and then write the table of all that are finished."""
    import_meanwhile()
    divided = study.groups(job.grid)
    begin = next_table = time.monotonic()
    for index, trained in zip(missing, _trained(job, missing, advance), strict=True):
        now = time.monotonic()
        measured = study.measured(trained)
        best = study.best_of(job.grid, divided[index], measured)
        params: Params = jax.tree.map(lambda leaf, best=best: leaf[best], trained.params)
        finished[index] = files.save_group(job.folder, index, measured._asdict(), now - begin, params, job.sha256)
        if time.monotonic() >= next_table:
            _write_table(job, table, finished)
            next_table = time.monotonic() + (time.monotonic() - now) / TABLE_SHARE
        begin = time.monotonic()


def _write_table(job: Job, table: str, finished: Mapping[int, Mapping[str, Any]]) -> study.Result:
    """Write what is known of all finished networks as CSV; return it."""
    divided = study.groups(job.grid)
    measured = {
        index: study.Measured(**{name: arrays[name] for name in study.Measured._fields})
        for index, arrays in finished.items()
    }
    result = study.assemble(job.grid, job.splits.train, ((divided[index], of) for index, of in measured.items()))
    write_atomically(job.folder / table, map(str.encode, grid_report.to_csv(result)))
    return result


def _in_words_and_numbers(job: Job, result: study.Result, seconds: float) -> tuple[dict[str, Any], str]:
    """Return what summary.json says of every grid, and the results in words."""
    splits, options, count = job.splits, job.options, result.cost.size
    summary = {"dataset": splits.name, "origin": splits.origin, "held_out_examples": result.fold_size}
    summary |= {**vars(options.common), "epochs": job.grid.configs[0].epochs, "seeds": options.seeds}
    summary |= {"first_seed": options.first_seed, "networks": count}
    summary |= {"seconds": round(seconds, 2), "networks_per_second": round(count / seconds, 3)}
    speed = f"{count:,} networks in {seconds:.1f} s, {count / seconds:.2f} a second"
    head = f"{splits.name} from {printable(splits.origin)}: {speed}"
    return summary, f"{head}\n{grid_report.report(result, GUESSING_ACCURACY)}"
