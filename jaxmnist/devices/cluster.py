"""Several processes as one program: which of them this one is, by its options or its cluster, and how they start.

Training knows nothing of it: a mesh may have devices of other processes.
"""

import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.clusters import ClusterEnv  # JAX's list of the clusters that it knows has no public name
from jax.experimental import multihost_utils

from jaxmnist.devices import lifelines
from jaxmnist.devices.lifelines import Address, Lines
from jaxmnist.devices.meeting import meet, relay

VARIABLES = {
    "SLURM": ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"),
    "Open MPI": ("OMPI_MCA_orte_hnp_uri", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"),
    "Kubernetes": ("KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"),
}
"""What a cluster sets in the environment of each process; a shell inside a job has only some of it."""
STARTERS = {"SLURM": "srun", "Open MPI": "mpirun", "Kubernetes": "an indexed Job, with jax[k8s] installed"}
"""What starts the processes there."""
PATIENCE = 60.0
"""Most seconds in which JAX must connect processes that have met."""
GIVE = "coordinator=HOST:PORT, processes=N and process_id=I"


class Settings(NamedTuple):
    """Which process of a program this one is."""

    address: Address  # where process 0 listens
    processes: int  # how many there are
    process: int  # this one, from 0
    local_devices: list[int] | None  # this process's share of its machine's accelerators; None for all


def given(coordinator: str, processes: int, process_id: int) -> Settings:
    """Check the settings that a user gives.

    Raises:
        ValueError: if there is no such address or process.
    """
    if processes < 1:
        raise ValueError(f"processes={processes}: expected a whole number from 1; for example processes=2")
    if not 0 <= process_id < processes:
        raise ValueError(
            f"process_id={process_id}: expected from 0 to {processes - 1}, as there are processes={processes}"
        )
    return Settings(_address(coordinator), processes, process_id, None)


def found(environment: Mapping[str, str], seconds: int) -> Settings:
    """Find the settings that the cluster has for this process.

    Args:
        environment: of this process.
        seconds: most that JAX may wait for the name of process 0's machine.

    Raises:
        ValueError: if this is no cluster, or a shell inside a job, which has only some of the cluster's variables.
    """
    _refuse_interactive_step(environment)
    try:
        address, processes, process, local_devices = ClusterEnv.auto_detect_unset_distributed_params(
            None, None, None, None, None, seconds
        )
    except Exception as problem:  # Kubernetes' package has its own
        raise ValueError(f"JAX can't read this cluster's settings ({problem}); give {GIVE}") from problem
    if address is None or processes is None or process is None:
        raise ValueError(f"{_what_is_missing(environment)}, or give {GIVE}")
    return Settings(_address(address), processes, process, list(local_devices) if local_devices else None)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"coordinator={text}: expected HOST:PORT; for example coordinator=10.0.0.1:9876")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def _refuse_interactive_step(environment: Mapping[str, str]) -> None:
    tasks, here = (environment.get(name) for name in ("SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"))
    if tasks and here and tasks != here and "OMPI_MCA_orte_hnp_uri" not in environment:
        raise ValueError(
            f"SLURM_NTASKS={tasks}, but SLURM_STEP_NUM_TASKS={here}, as in a shell inside a job; start "
            f"the command with srun, or give {GIVE}"
        )


def _what_is_missing(environment: Mapping[str, str]) -> str:
    """Say why JAX finds no cluster, and what to do."""
    for name, variables in VARIABLES.items():
        is_set = [variable for variable in variables if variable in environment]
        unset = [variable for variable in variables if variable not in environment]
        if is_set:
            lacks = f", but not {', '.join(unset)}, as in a shell inside a job" if unset else ""
            return f"{', '.join(is_set)} set{lacks}; start the processes by {STARTERS[name]}"
    return f"no cluster found, expected {', '.join(VARIABLES)} or Cloud TPU; start the processes there"


class Membership(NamedTuple):
    """This process's part in the program."""

    lines: Lines
    left: threading.Event
    watcher: threading.Thread


def join(
    settings: Settings, seconds: int, on_lost: Callable[[str], object], on_end: Callable[[int], object]
) -> Membership:
    """Become one of several processes, before any device is used; the arguments are those of `meet` and `watch`."""
    address, process = settings.address, settings.process
    lines, left = meet(address, process, settings.processes, seconds), threading.Event()
    watcher = threading.Thread(target=lifelines.watch, args=(lines, left, on_lost, on_end), daemon=True)
    watcher.start()
    lost = partial(on_lost, f"process 0 of {settings.processes} was lost")
    jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]  # it swallows SIGTERM
    jax.config.update("jax_check_proxy_envs", False)  # type: ignore[no-untyped-call]
    os.environ["no_grpc_proxy"] = f"127.0.0.1,{address.host}"  # noqa: SIM112  # a proxy leads elsewhere

    def initialize() -> None:
        try:
            jax.distributed.initialize(
                str(relay(address, lost) if process else address),
                settings.processes,
                process,
                settings.local_devices,
                cluster_detection_method="deactivate",
                coordinator_bind_address=str(address),
            )
        except Exception as problem:  # of JAX's own: the port was taken meanwhile, say
            on_lost(f"JAX can't connect the {settings.processes} processes ({problem})")

    starter = threading.Thread(target=initialize, daemon=True)  # so that this thread hears signals meanwhile
    starter.start()
    starter.join(PATIENCE)
    if starter.is_alive():
        on_lost(f"JAX can't connect the {settings.processes} processes in {PATIENCE:.0f} s")
    return Membership(lines, left, watcher)


def leave(member: Membership, code: int, failed: bool = False) -> None:
    """End in good order with this exit code; the other processes wait for process 0, and end when it ends."""
    if member.lines.process == 0 or failed:
        member.left.set()
    member.watcher.join()
    lifelines.say_goodbye(member.lines, code, failed)


def is_first(member: Membership | None) -> bool:
    """Whether this process is process 0, or alone."""
    return member is None or member.lines.process == 0


def share(member: Membership | None, value: Any) -> Any:
    """Return process 0's value, which JSON can hold; the others' doesn't count. No device takes part."""
    return value if member is None else lifelines.pass_on(member.lines, value)


def broadcast(tree: Any) -> Any:
    """Return process 0's arrays and keys, bit for bit, in every process; the others' only have the same shapes."""
    if jax.process_count() == 1:
        return tree

    def receive(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(receive(jax.random.key_data(leaf)))
        values = np.asarray(leaf)
        content = multihost_utils.broadcast_one_to_all(values.reshape(-1).view(np.uint8))
        return jnp.asarray(content.view(values.dtype).reshape(values.shape))

    return jax.tree.map(receive, tree)


def any_of(mine: bool) -> bool:
    """Whether it is true in any process."""
    return mine if jax.process_count() == 1 else bool(multihost_utils.process_allgather(np.array(mine)).any())


def check_same(mine: str, what: str) -> None:
    """Check that all processes have the same of something, by its sha256 in hexadecimal.

    Raises:
        ValueError: in process 0, with which the others then end; names those that differ.
    """
    if jax.process_count() == 1:
        return
    if jax.device_count() != jax.process_count() * jax.local_device_count():
        raise ValueError(f"{jax.device_count()} devices in {jax.process_count()} processes: expected as many in each")
    digests = multihost_utils.process_allgather(np.frombuffer(bytes.fromhex(mine), np.uint8))
    others = [str(number) for number, digest in enumerate(digests) if not np.array_equal(digest, digests[0])]
    if jax.process_index() == 0 and others:
        raise ValueError(f"{what} of process {', '.join(others)} differs from process 0's, expected the same in all")
