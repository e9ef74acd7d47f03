"""The first five steps of docs/lesson.md: one kernel that you choose, slid over a photo by hand, in numpy.

    python docs/lesson/by_hand.py convolution PHOTO --out 1.png
    python docs/lesson/by_hand.py kernel-size PHOTO --out 2.png
    python docs/lesson/by_hand.py stride PHOTO --out 3.png
    python docs/lesson/by_hand.py matrix-product PHOTO --out 4.png
    python docs/lesson/by_hand.py pooling PHOTO --out 5.png

The lesson's notebook has the same functions in its cells. Like every deep-learning library, they don't flip the kernel
(mathematicians call that a cross-correlation).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

EDGES = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])  # dark on the left, bright on the right (Sobel)
ORANGE, GREY = "#D55E00", "#555555"


def read_grey(file):
    """Read a photo's brightness: whole numbers from 0 (black) to 255, (rows, columns)."""
    return np.asarray(Image.open(file).convert("L")).astype(int)


def cut_windows(photo, side, stride=1):
    """Cut out every window of side × side numbers: (rows, columns, side, side)."""
    return np.lib.stride_tricks.sliding_window_view(photo, (side, side))[::stride, ::stride]


def convolve(photo, kernel, stride=1):
    """Multiply each window by the kernel, number by number, and add up the products."""
    return (cut_windows(photo, len(kernel), stride) * kernel).sum((2, 3))


def edge_kernel(side):
    """Make the same kernel in any size: dark on the left, bright on the right, softer towards its rim."""
    position = np.linspace(-1, 1, side)
    bell = np.exp(-2 * position**2)
    kernel = np.outer(bell, position * bell)
    return kernel / np.abs(kernel).sum()


def pool(numbers, size, how):
    """Make one number of each size × size window, with `how` = np.max or np.mean."""
    rows, columns = (length // size for length in numbers.shape)
    return how(numbers[: rows * size, : columns * size].reshape(rows, size, columns, size), (1, 3))


def draw_convolution(photo):
    """Draw one window, the kernel, their products and the map; print the sum."""
    edges = convolve(photo, EDGES)
    row, column = (int(place) for place in np.unravel_index(edges.argmax(), edges.shape))
    window = cut_windows(photo, 3)[row, column]
    products = window * EDGES
    print(f"the window at row {row}, column {column}, times the kernel:")
    for line in range(3):
        print("   ".join("".join(f"{number:5}" for number in part[line]) for part in (window, EDGES, products)))
    print(f"sum of the products: {products.sum()}; the largest of the map's {edges.size:,} numbers")
    figure, (left, first, second, third, right) = new_row(5, (3, 1.6, 1.6, 1.6, 3))
    show_photo(left, photo, "the photo, and one window")
    frame(left, row, column, 3)
    show_numbers(first, window, "the window", are_pixels=True)
    show_numbers(second, EDGES, "× the kernel")
    show_numbers(third, products, f"= products; sum: {products.sum()}")
    show_map(right, edges, f"the map: {edges.shape[0]} × {edges.shape[1]} sums")
    frame(right, row, column, 1)
    return figure


def draw_kernel_size(photo):
    """Draw the maps of the same kernel in three sizes; print what each costs."""
    sides = (3, 7, 15)
    figure, (left, *others) = new_row(4, (1, 1, 1, 1))
    show_photo(left, photo, "the photo")
    for axes, side in zip(others, sides, strict=True):
        edges = convolve(photo, edge_kernel(side))
        work = edges.size * side**2
        print(f"{side:2} × {side:2}: map of {len(edges)} × {len(edges)}, {work:,} multiplications")
        show_map(axes, edges, f"{side} × {side}: {work:,}\nmultiplications")
        inner = axes.inset_axes((0.03, 0.03, 0.28, 0.28))
        inner.imshow(edge_kernel(side), cmap="PuOr_r")
        inner.set(xticks=[], yticks=[])
    return figure


def draw_stride(photo):
    """Draw the places that strides 1 and 2 visit, and their maps."""
    figure, (first, second, third, fourth) = new_row(4, (1, 1, 1, 1))
    most = convolve(photo, EDGES)
    row, column = (int(place) for place in np.unravel_index(most.argmax(), most.shape))
    top, left = min(max(row - 5, 0), len(photo) - 12), min(max(column - 5, 0), photo.shape[1] - 12)
    for stride, places, whole in ((1, first, third), (2, second, fourth)):
        edges = convolve(photo, EDGES, stride)
        print(f"stride {stride}: map of {edges.shape[0]} × {edges.shape[1]}, {edges.size * 9:,} multiplications")
        show_photo(places, photo[top : top + 12, left : left + 12], f"stride {stride} visits these places")
        rows, columns = np.mgrid[1:11:stride, 1:11:stride]
        places.plot(columns.ravel(), rows.ravel(), "o", color=ORANGE, markersize=5)
        frame(places, 0, 0, 3)
        show_map(whole, edges, f"stride {stride}: {edges.shape[0]} × {edges.shape[1]} sums")
    return figure


def draw_matrix_product(photo):
    """Draw the convolution as a product of two matrices, and check that it gives the same map."""
    windows = cut_windows(photo, 3).reshape(-1, 9)
    product = windows @ EDGES.reshape(9)
    edges = convolve(photo, EDGES)
    print(f"{len(windows):,} × 9 numbers times 9 × 1 numbers = {len(product):,} × 1 numbers")
    print(f"the same numbers as the convolution's: {bool((product.reshape(edges.shape) == edges).all())}")
    start = int(edges.argmax()) - 3
    figure, (left, middle, third, right) = new_row(4, (3.4, 0.6, 0.75, 2.2))
    show_numbers(left, windows[start : start + 7], f"windows as rows: 7 of {len(windows):,}", are_pixels=True)
    show_numbers(middle, EDGES.reshape(9, 1), "× kernel")
    show_numbers(third, product[start : start + 7, None], "= sums")
    show_map(right, product.reshape(edges.shape), f"all sums, in rows of {edges.shape[1]}")
    return figure


def draw_pooling(photo):
    """Draw a map after max and average pooling in 2 × 2 windows; print those of the whole map."""
    found = np.maximum(convolve(photo, EDGES), 0)  # ReLU: numbers below zero become zero
    print(f"the whole map as one window: max {found.max()}, average {found.mean():.1f}")
    figure, (left, first, second) = new_row(3, (1, 1, 1))
    top = found.max()
    show_map(left, found, f"the map, below zero cut off: {len(found)} × {len(found)}", top)
    for axes, how, name in ((first, np.max, "largest"), (second, np.mean, "average")):
        small = pool(found, 2, how)
        show_map(axes, small, f"{name} of each 2 × 2: {len(small)} × {len(small)}", top)
    return figure


def new_row(count, widths):
    """Make a figure of axes side by side."""
    figure = Figure(figsize=(12, 3.6), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, width_ratios=widths)


def show_photo(axes, photo, title):
    """Draw brightness as grey."""
    axes.imshow(photo, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize=11)
    axes.set(xticks=[], yticks=[])


def show_map(axes, numbers, title, top: Any = None):
    """Draw a map: orange above zero, violet below."""
    limit = top or np.abs(numbers).max()
    axes.imshow(numbers, cmap="PuOr_r", vmin=-limit, vmax=limit)
    axes.set_title(title, fontsize=11)
    axes.set(xticks=[], yticks=[])


def show_numbers(axes, numbers, title, are_pixels=False):
    """Draw a grid of whole numbers, on the grey of a photo or on the colours of a map."""
    limit = 1.6 * max(np.abs(numbers).max(), 1)
    low, high, colors = (0, 255, "gray") if are_pixels else (-limit, limit, "PuOr_r")
    axes.imshow(numbers, cmap=colors, vmin=low, vmax=high)
    for (row, column), number in np.ndenumerate(numbers):
        color = "white" if are_pixels and number < 128 else "black"
        axes.text(column, row, f"{number}".replace("-", "−"), ha="center", va="center", fontsize=10, color=color)
    axes.set_title(title, fontsize=11)
    axes.set(xticks=[], yticks=[])


def frame(axes, row, column, side):
    """Draw an orange frame around side × side places."""
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), side, side, fill=False, edgecolor=ORANGE, linewidth=2))


STEPS = {
    "convolution": draw_convolution,
    "kernel-size": draw_kernel_size,
    "stride": draw_stride,
    "matrix-product": draw_matrix_product,
    "pooling": draw_pooling,
}


def main():
    """Draw one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the PNG file to write")
    options = parser.parse_args()
    STEPS[options.step](read_grey(options.photo)).savefig(options.out)


if __name__ == "__main__":
    main()
