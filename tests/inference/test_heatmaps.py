from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bearcnn.config import ModelConfig
from bearcnn.errors import BearcnnError
from bearcnn.inference.folders import stay_outside
from bearcnn.inference.heatmaps import HeatmapFolder, draw_heatmap
from bearcnn.inference.overlay import draw_overlay, draw_windows, shade
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.inference.windows import Windows, find_windows
from tests.helpers.onnx_models import make_manifest, write_model


def grey_photo(height: int = 90, width: int = 120) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def orange(image: Image.Image) -> np.ndarray:
    """How much redder than blue each place is."""
    pixels = np.asarray(image).astype(int)
    return pixels[:, :, 0] - pixels[:, :, 2]


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 9), height=st.integers(9, 60), width=st.integers(9, 60))
def test_the_picture_is_as_large_as_the_photo(count, height, width):
    image = draw_windows(grey_photo(height, width), np.random.default_rng(0).random((count, count)))
    assert image.size == (width, height)


def test_what_speaks_against_a_bear_is_clear_and_the_surest_is_darkest():
    color, opacity = shade(np.array([0.0, 0.3, 0.5, 0.6, 0.8, 1.0]))
    assert opacity[:3].tolist() == [0, 0, 0]
    assert (np.diff(opacity[2:]) > 0).all()
    assert (np.diff(color[2:].sum(1)) < 0).all()


def test_only_the_windows_that_say_bear_are_coloured():
    scores = np.array([[0.1, 0.2, 0.5], [0.4, 0.95, 0.3], [0.1, 0.2, 0.3]])
    drawn = orange(draw_windows(grey_photo(), scores))
    inner = drawn[30 + 8 : 60 - 8, 40 + 8 : 80 - 8]
    assert (inner > 60).all()
    drawn[30:60, 40:80] = 0
    assert not drawn.any()


def test_each_place_belongs_to_the_window_with_the_nearest_centre():
    scores = np.zeros((4, 4))
    scores[0, 3] = 1
    drawn = orange(draw_windows(grey_photo(80, 80), scores, Windows(np.array([0.0, 0.25, 0.5, 0.75])))) > 0
    rows, columns = np.where(drawn)
    assert rows.max() < 10  # half way between the first and the second centre
    assert columns.min() >= 50
    assert columns.max() >= 76


@settings(deadline=None, max_examples=30)
@given(row=st.integers(0, 7), column=st.integers(0, 7), width=st.integers(100, 300))
def test_the_frame_is_around_all_that_the_best_window_sees(row, column, width):
    field = ModelConfig().receptive_fields[-1][1]
    windows = find_windows(make_manifest(image_size=128, config={"model": ModelConfig().model_dump()}), 8)
    scores = np.full((8, 8), 0.1)
    scores[row, column] = 0.4  # nothing is tinted
    framed = np.asarray(draw_overlay((width, 128), scores, windows))[:, :, 3] > 0
    rows, columns = np.where(framed)
    seen = [(max(low, 0) / 128, min(high, 128) / 128) for low, high in (field.span(column), field.span(row))]
    assert (columns.min() / width, (columns.max() + 1) / width) == pytest.approx(seen[0], abs=0.02)
    assert (rows.min() / 128, (rows.max() + 1) / 128) == pytest.approx(seen[1], abs=0.02)


@pytest.mark.parametrize("size", [(30, 20), (480, 200), (100, 800)])
def test_the_page_has_a_legend_below_the_photo(size):
    page = draw_heatmap(grey_photo(size[1], size[0]), np.full((4, 4), 0.7), 0.9, "bear")
    assert page.width >= 420
    assert page.height > size[1]
    legend = np.asarray(page.crop((0, size[1], page.width, page.height)))
    assert (legend < 60).any()


def photo(path: Path, grey: int = 200, size: tuple[int, int] = (64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)
    return path


def drawn(tmp_path: Path, paths: list[Path], root: Path | None = None, **manifest: object) -> list[str]:
    predictor = Predictor(write_model(tmp_path / "model.onnx", **manifest))
    folder = tmp_path / "drawn"
    found = list(predict_photos(predictor, paths, on_windows=HeatmapFolder(folder, predictor.manifest, root)))
    assert [prediction.path for prediction in found] == [str(path) for path in paths]
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_photos_of_one_name_in_several_folders_stay_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [photo(Path(name)) for name in ("a/x.jpg", "b/x.jpg", "b/x.png", "b/x.JPG")]
    assert drawn(tmp_path, [*paths, tmp_path / "a" / "x.jpg", Path("b/../a/x.jpg")]) == [
        "a/x-2.jpg",
        "a/x.jpg",
        "b/a/x.jpg",
        "b/x.JPG",
        "b/x.jpg",
        "b/x.png.jpg",
    ]


def test_the_folders_are_those_below_the_photos_common_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    card = tmp_path / "far" / "card"
    paths = [
        photo(card / "day1" / "x.jpg"),
        photo(card / "day2" / "x.jpg"),
        photo(card / "y.jpg"),
        photo(Path("z.jpg")),
    ]
    paths[2] = Path("far/card/day1/../y.jpg")
    assert drawn(tmp_path, paths, card) == ["day1/x.jpg", "day2/x.jpg", "y.jpg", "z.jpg"]


def test_the_contact_sheet_lists_what_is_drawn_also_after_an_interruption(tmp_path):
    predictor = Predictor(write_model(tmp_path / "model.onnx"))
    paths = [photo(tmp_path / "card" / name, grey) for name, grey in (("a.jpg", 10), ("b #1.jpg", 250), ("c.jpg", 99))]
    with pytest.raises(KeyboardInterrupt), HeatmapFolder(tmp_path / "drawn", predictor.manifest, tmp_path) as folder:
        for number, _ in enumerate(predict_photos(predictor, paths, on_windows=folder)):
            if number == 1:
                raise KeyboardInterrupt
    text = (tmp_path / "drawn" / "index.html").read_text()
    assert text.index('src="card/b%20%231.jpg"') < text.index('src="card/a.jpg"')
    assert "c.jpg" not in text


def test_a_contact_sheet_that_cannot_be_written_does_not_hide_the_reason(tmp_path):
    manifest = make_manifest()
    with pytest.raises(ZeroDivisionError), HeatmapFolder(tmp_path / "drawn", manifest):
        (tmp_path / "drawn").rmdir()
        raise ZeroDivisionError
    with pytest.raises(BearcnnError, match="can't be written"), HeatmapFolder(tmp_path / "again", manifest):
        (tmp_path / "again").rmdir()


def test_a_photo_that_cannot_be_read_has_no_heat_map(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    assert drawn(tmp_path, [Path("broken.jpg"), photo(Path("whole.jpg"))]) == ["whole.jpg"]


@pytest.mark.parametrize(("resize", "shape"), [("squish", (480, 240)), ("crop", (480, 480)), ("pad", (480, 480))])
def test_the_frame_is_the_one_that_the_network_saw(tmp_path, monkeypatch, resize, shape):
    monkeypatch.chdir(tmp_path)
    assert drawn(tmp_path, [photo(Path("wide.png"), size=(200, 100))], resize=resize) == ["wide.png.jpg"]
    with Image.open(tmp_path / "drawn" / "wide.png.jpg") as image:
        assert image.size == (shape[0], shape[1] + 62)


def test_nothing_is_drawn_over_files_of_others(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(BearcnnError, match="not empty"):
        HeatmapFolder(tmp_path, make_manifest())
    with pytest.raises(BearcnnError, match="can't be made"):
        HeatmapFolder(tmp_path / "mine.txt", make_manifest())
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_what_is_drawn_on_the_way_is_not_read_as_a_photo(tmp_path):
    paths = [tmp_path / "a.jpg", tmp_path / "drawn" / "a.jpg", tmp_path / "b" / ".." / "drawn" / "b.jpg"]
    assert list(stay_outside(paths, tmp_path / "drawn")) == paths[:1]


def test_odd_names_stay_so_that_they_get_a_reason(tmp_path):
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    paths = [tmp_path / "circle.jpg", Path("zero\0byte.jpg"), Path("x" * 5000)]
    assert list(stay_outside(paths, tmp_path / "drawn")) == paths
