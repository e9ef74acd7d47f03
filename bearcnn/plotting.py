"""The palette, and the picture of a learning-rate range test.

Figures are made without pyplot: a notebook's own choice of a backend stays as it is.
"""

import io

from matplotlib.figure import Figure

# Okabe & Ito's palette, which the colour-blind can tell apart.
BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#000000"


def draw_learning_rates(lrs: list[float], losses: list[float], suggestion: float) -> bytes:
    """Draw a learning-rate range test as a PNG: smoothed loss against the rate, the suggestion marked."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(lrs, losses, color=BLUE, linewidth=2)
    nearest = min(range(len(lrs)), key=lambda index: abs(lrs[index] - suggestion))
    axes.plot(lrs[nearest], losses[nearest], "o", color=ORANGE, markersize=9)
    axes.annotate(f"suggested: {suggestion:g}", (lrs[nearest], losses[nearest]), (8, 8), textcoords="offset points")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss (smoothed)", title="Learning-rate range test")
    # The losses of the explosion at the end would flatten the rest.
    axes.set_ylim(min(losses) * 0.9, max(losses[: max(1, len(losses) // 2)]) * 1.3)
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
