import io

import pytest
from PIL import Image

from bearcnn.config import load_config
from bearcnn.sweep.plan import plan_grid
from bearcnn.sweep.plot import draw_sweep
from tests.helpers.sweeps import analyse_made_up, dropout, noise


@pytest.mark.slow  # draws eight pictures, twice
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("scaled", [True, False])
def test_a_sweep_is_drawn_as_png_and_svg(seeds, scaled):
    plan = dropout(seeds) if scaled else plan_grid(load_config(), {"model.pooling": ["max", "avg", "concat"]}, seeds)
    wobble = noise(0.01)
    analysis, _ = analyse_made_up(plan, lambda value, seed: 0.9 + wobble(value if scaled else 0, seed))
    pictures = draw_sweep("a title", "what is varied", analysis.settings)
    with Image.open(io.BytesIO(pictures["png"])) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 600
    svg = pictures["svg"].decode()
    assert "<svg" in svg[:500]
    assert pictures == draw_sweep("a title", "what is varied", analysis.settings)
