"""The pictures of many networks: what cross-validation found, and a sweep's grid as a map."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from jaxmnist.plots.style import BLUE, ORANGE

COLOURS = {"momentum": BLUE, "nesterov": ORANGE}


def cross_validation(
    momenta: Sequence[float],
    scores: Mapping[str, Mapping[str, Float[np.ndarray, "momenta networks"]]],
    rates: Mapping[str, Sequence[float]],
    title: str,
) -> Figure:
    """Validation cost and error by momentum coefficient: every network a dot, mean and standard error beside.

    Both axes are logarithmic, as the worst coefficient costs several times what the best does.

    Args:
        momenta: the coefficients μ.
        scores: for each optimizer cost and accuracy (shares, 0 to 1) of its networks, a row for each μ; NaN for a
            network that diverged.
        rates: for each optimizer the learning rate that each μ is shown at.
        title: what was cross-validated.
    """
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    figure.suptitle(title)
    panels: tuple[tuple[str, Callable[..., Float[np.ndarray, "momenta networks"]]], ...] = (
        ("mean cost per validation example", lambda found: found["cost"]),
        ("validation examples read wrong (%)", lambda found: 100 * (1 - found["accuracy"])),
    )
    for axes, (label, pick) in zip(figure.subplots(1, 2), panels, strict=True):
        for side, (optimizer, colour) in zip((-1, 1), COLOURS.items(), strict=True):
            values = pick(scores[optimizer])
            places = np.arange(len(momenta)) + 0.17 * side
            spread = np.linspace(-0.05, 0.05, values.shape[1])
            axes.plot((places[:, None] + 0.11 * side + spread).ravel(), values.ravel(), ".", color=colour, alpha=0.35)
            error = values.std(axis=1, ddof=1) / values.shape[1] ** 0.5
            axes.errorbar(places, values.mean(axis=1), error, color=colour, fmt="o", capsize=5, label=optimizer)
        ticks = [
            f"μ = {momentum:g}\nη = " + " / ".join(dict.fromkeys(f"{rates[name][place]:g}" for name in COLOURS))
            for place, momentum in enumerate(momenta)
        ]
        axes.set(yscale="log", ylabel=label, xticks=range(len(momenta)), xlim=(-0.5, len(momenta) - 0.5))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xticklabels(ticks)
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        handles, names = axes.get_legend_handles_labels()
    names = [f"{name}: mean ± standard error beside its networks" for name in names]
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    return figure


def grid_maps(
    batch_sizes: Sequence[int],
    momenta: Sequence[float],
    learning_rates: Sequence[float],
    accuracy: Float[np.ndarray, "batch_sizes momenta learning_rates seeds"],
    title: str,
) -> Figure:
    """A sweep's accuracy as a map for each batch size: colour and first figure the mean over seeds, then the spread.

    Args:
        batch_sizes: one panel each.
        momenta: rows.
        learning_rates: columns.
        accuracy: shares, 0 to 1.
        title: what was swept.
    """
    panels, rows, columns = len(batch_sizes), len(momenta), len(learning_rates)
    across = min(panels, 2)
    down = -(-panels // across)
    width, height = max(7.0, across * (1.2 + 1.05 * columns)), max(4.4, down * (1.5 + 0.62 * rows))
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title)
    means, spreads = 100 * accuracy.mean(axis=-1), 100 * accuracy.std(axis=-1, ddof=min(1, accuracy.shape[-1] - 1))
    high = float(means.max())
    low = max(float(means.min()), high - 15)
    drawn = None
    boxes = figure.subplots(down, across, squeeze=False).ravel()
    for axes in boxes[panels:]:
        axes.set_axis_off()
    for axes, batch_size, mean, spread in zip(boxes, batch_sizes, means, spreads, strict=False):
        drawn = axes.imshow(mean, cmap="cividis", vmin=low, vmax=max(high, low + 1e-9), aspect="auto")
        for row, column in np.ndindex(rows, columns):
            bright = mean[row, column] > (low + high) / 2
            text = f"{mean[row, column]:.2f}" + (f"\n± {spread[row, column]:.2f}" if accuracy.shape[-1] > 1 else "")
            axes.text(column, row, text, ha="center", va="center", color="black" if bright else "white", fontsize=9)
        axes.set(
            xticks=range(columns),
            yticks=range(rows),
            xlabel="learning rate η",
            ylabel="momentum μ",
            title=f"batch size {batch_size}",
        )
        axes.set_xticklabels([f"{rate:g}" for rate in learning_rates])
        axes.set_yticklabels([f"{momentum:g}" for momentum in momenta])
        axes.tick_params(length=0)
    if drawn is not None:
        label = "held-out accuracy (%), mean ± deviation over seeds"
        figure.colorbar(drawn, ax=boxes.tolist(), label=label, extend="min" if low > means.min() else "neither")
    return figure
