"""From the start of a process to the first evaluation of at least 95 % on MNIST's test set.

`python tests/benchmarks/time_to_95.py --data-dir FOLDER` runs `train.py` and three scripts that a user would
write instead, in turns, and prints the median of each. All train 784-16-16-10 with sigmoids, Nesterov 0.9, batches of
32 and a rate that falls as half a cosine over 30 epochs, and evaluate after every epoch; scikit-learn, which has no
such schedule and another cost, keeps a constant rate of its own.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[2]
RATE, MOMENTUM, BATCH, EPOCHS = 0.08, 0.9, 32, 30
SCIKIT_LEARN_RATE = 0.05


def evaluations(command):
    """Seconds from the start of a process to each of its evaluations, with the accuracy that it printed."""
    begin = time.perf_counter()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            for line in process.stdout:
                found = re.search(r"test accuracy ([\d.]+)%", line)
                if found:
                    yield time.perf_counter() - begin, float(found[1]) / 100
        finally:
            process.kill()  # whoever asks for no more evaluations needs no more epochs


def time_to(command, accuracy):
    with closing(evaluations(command)) as found:
        for number, (seconds, reached) in enumerate(found, 1):
            if reached >= accuracy:
                return {"seconds": seconds, "epochs": number, "accuracy": reached}
    return {"seconds": math.inf, "epochs": None, "accuracy": None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True, help="MNIST's four files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--accuracy", type=float, default=0.95)
    parser.add_argument("--output", type=Path, default=Path("runs/time_to_95.json"))
    options = parser.parse_args()
    data = Path(options.data_dir).resolve()
    contestants = {"this train.py": None, "scikit-learn": "sklearn", "PyTorch": "torch", "the usual JAX way": "jax"}
    found = {name: [] for name in contestants}
    for number in range(options.rounds):
        for name, script in contestants.items():
            with tempfile.TemporaryDirectory() as folder:
                command = (
                    [
                        sys.executable,
                        ROOT / "train.py",
                        "--data-dir",
                        data,
                        "--run-dir",
                        f"{folder}/r",
                        "--seed",
                        number,
                    ]
                    if script is None
                    else [sys.executable, __file__, "--script", script, data, number]
                )
                found[name].append(time_to(list(map(str, command)), options.accuracy))
                reached = found[name][-1]
                said = f"{reached['seconds']:.2f} s, epoch {reached['epochs']}" if reached["epochs"] else "not reached"
                print(f"round {number + 1}, {name}: {said}", flush=True)
    ours = statistics.median(turn["seconds"] for turn in found["this train.py"])
    print(f"seconds from process start to {options.accuracy:.0%} test accuracy, medians of {options.rounds}")
    for name, turns in found.items():
        median = statistics.median(turn["seconds"] for turn in turns)
        print(f"  {name:18} {median:7.2f} s  {median / ours:5.2f} × ours  epochs {[turn['epochs'] for turn in turns]}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=2))


def read(folder):
    """MNIST as everybody reads it."""
    import gzip

    import numpy as np

    def part(name, skip):
        return np.frombuffer(gzip.decompress((Path(folder) / f"{name}.gz").read_bytes()), np.uint8, offset=skip)

    images = [part(f"{name}-images-idx3-ubyte", 16).reshape(-1, 784) for name in ("train", "t10k")]
    labels = [part(f"{name}-labels-idx1-ubyte", 8) for name in ("train", "t10k")]
    return [array.astype(np.float32) / 255 for array in images], labels


def script_sklearn(folder, seed):
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    (train, test), (train_labels, test_labels) = read(folder)
    model = MLPClassifier(
        (16, 16),
        "logistic",
        solver="sgd",
        alpha=0,
        batch_size=BATCH,
        learning_rate_init=SCIKIT_LEARN_RATE,
        momentum=MOMENTUM,
        max_iter=1,
        warm_start=True,
        random_state=seed,
    )
    for _ in range(EPOCHS):
        model.fit(train, train_labels)
        print(f"test accuracy {model.score(test, test_labels):.4%}")


def script_torch(folder, seed):
    import torch
    from torch import nn

    torch.manual_seed(seed)
    images, labels = read(folder)
    (train, test), (train_labels, test_labels) = (
        list(map(torch.from_numpy, images)),
        [torch.from_numpy(array.copy()).long() for array in labels],
    )
    targets = nn.functional.one_hot(train_labels, 10).float()
    model = nn.Sequential(
        nn.Linear(784, 16), nn.Sigmoid(), nn.Linear(16, 16), nn.Sigmoid(), nn.Linear(16, 10), nn.Sigmoid()
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * (len(train) // BATCH))
    for _ in range(EPOCHS):
        for places in torch.randperm(len(train))[: len(train) // BATCH * BATCH].view(-1, BATCH):
            optimizer.zero_grad()
            ((model(train[places]) - targets[places]) ** 2).sum(dim=1).mean().backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            print(f"test accuracy {(model(test).argmax(dim=1) == test_labels).float().mean():.4%}")


def script_jax(folder, seed):
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    (train, test), (train_labels, test_labels) = read(folder)
    targets = np.eye(10, dtype=np.float32)[train_labels]
    keys = jax.random.split(jax.random.key(seed), 3)
    params = [
        (jax.random.normal(key, (inputs, outputs)) / inputs**0.5, jnp.zeros(outputs))
        for key, inputs, outputs in zip(keys, (784, 16, 16), (16, 16, 10), strict=True)
    ]
    steps = len(train) // BATCH
    optimizer = optax.sgd(optax.cosine_decay_schedule(RATE, EPOCHS * steps), MOMENTUM, nesterov=True)
    state = optimizer.init(params)

    def predict(params, batch):
        for weights, biases in params:
            batch = jax.nn.sigmoid(batch @ weights + biases)
        return batch

    @jax.jit
    def step(params, state, batch, target):
        gradient = jax.grad(lambda params: jnp.mean(jnp.sum((predict(params, batch) - target) ** 2, axis=1)))(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state

    accuracy = jax.jit(lambda params: jnp.mean(jnp.argmax(predict(params, test), axis=1) == test_labels))
    random = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        for places in random.permutation(len(train))[: steps * BATCH].reshape(steps, BATCH):
            params, state = step(params, state, train[places], targets[places])
        print(f"test accuracy {accuracy(params):.4%}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--script"]:
        {"sklearn": script_sklearn, "torch": script_torch, "jax": script_jax}[sys.argv[2]](
            sys.argv[3], int(sys.argv[4])
        )
    else:
        main()
