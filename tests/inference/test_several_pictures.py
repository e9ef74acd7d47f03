"""Photos of several pictures: the answer is that of the best one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bearcnn.data.photos import load_regions
from bearcnn.data.regions import WHOLE_FRAMES, Crops, Tiles, absolute, tile_areas
from bearcnn.inference import predictor as predictor_module
from bearcnn.inference.heatmaps import HeatmapFolder
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.predictor import Predictor, predict_photos
from tests.helpers.onnx_models import brightness, write_model


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> Predictor:
    return Predictor(write_model(tmp_path_factory.mktemp("model") / "model.onnx"))


def spot(path: Path, area, size=(320, 180), shade=255) -> Path:
    """A dark photo with a bright spot."""
    image = Image.new("RGB", size, (20, 20, 20))
    left, top, right, bottom = area
    box = (round(left * size[0]), round(top * size[1]), round(right * size[0]), round(bottom * size[1]))
    image.paste((shade, shade, shade), box)
    image.save(path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    """Photos of many shapes, each with a spot in another place; one can't be read."""
    folder = tmp_path_factory.mktemp("photos")
    sizes = [(320, 180), (180, 320), (200, 200), (900, 100), (64, 64), (321, 240)]
    paths = [
        spot(folder / f"{number}.png", (place, 0.3, place + 0.2, 0.6), size)
        for number, (size, place) in enumerate(zip(sizes, np.linspace(0, 0.8, 6), strict=True))
    ]
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return [*paths, folder / "broken.jpg"]


def one_by_one(predictor: Predictor, path: Path, regions) -> list[float]:
    """The answer to each picture of a photo alone."""
    found = load_regions(path, regions.of(path), 16, "squish")
    return [float(predictor.predict_pixels(pixels[None])[0][0]) for _, pixels in found]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_photo_has_the_answer_of_its_best_picture_alone(predictor, photos, count):
    regions = Tiles(count)
    for path, prediction in zip(photos[:-1], predict_photos(predictor, photos[:-1], regions=regions), strict=True):
        alone = one_by_one(predictor, path, regions)
        assert prediction.probability == pytest.approx(max(alone), abs=1e-7)
        with Image.open(path) as image:
            areas = [None, *tile_areas(*image.size, count)]
        assert prediction.box == areas[int(np.argmax(alone))]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(st.integers(1, 4), st.lists(st.integers(0, 6), max_size=12), st.integers(0, 3))
def test_workers_change_no_answer(predictor, photos, workers, chosen, count):
    regions = Tiles(count) if count else WHOLE_FRAMES
    paths = [photos[number] for number in chosen]
    alone = [each for path in paths for each in predict_photos(predictor, [path], regions=regions)]
    found = list(predict_photos(predictor, paths, regions=regions, workers=workers))
    assert found == alone


def test_whole_frames_are_answered_as_without_regions(predictor, photos):
    assert list(predict_photos(predictor, photos, regions=WHOLE_FRAMES)) == list(predict_photos(predictor, photos))
    assert all(each.box is None for each in predict_photos(predictor, photos))


def test_a_model_of_tiles_is_asked_with_tiles(tmp_path, photos):
    predictor = Predictor(write_model(tmp_path / "model.onnx", config={"data": {"tiles": 2}}))
    assert predictor.regions == Tiles(2)
    found = predictor.predict(photos[:3])
    assert found == list(predict_photos(predictor, photos[:3], regions=Tiles(2)))
    assert found != predictor.predict(photos[:3], regions=WHOLE_FRAMES)
    for odd in ({}, {"data": {}}, {"data": {"tiles": 0}}, {"data": {"tiles": "many"}}):
        assert Predictor(write_model(tmp_path / "odd.onnx", config=odd)).regions == WHOLE_FRAMES


def test_crops_find_the_animal_and_say_where(predictor, tmp_path):
    bright, dark = (0.7, 0.5, 0.75, 0.6), (0.1, 0.1, 0.3, 0.3)
    photo = spot(tmp_path / "a.png", (0.68, 0.45, 0.78, 0.65))
    (frame,) = predict_photos(predictor, [photo])
    assert frame.label == "dark"
    (found,) = predict_photos(predictor, [photo], regions=Crops({absolute(photo): (dark, bright)}, 0.0))
    assert found.label == "bright"
    assert found.box == bright
    assert found.probability == pytest.approx(float(brightness(np.full((1, 16, 16, 3), 255))[0]), abs=1e-6)


def test_what_has_no_animal_is_looked_at_or_negative_but_never_unread(predictor, photos):
    seen = Crops({absolute(path): () for path in photos}, 0.0)
    assert list(predict_photos(predictor, photos, regions=seen)) == list(predict_photos(predictor, photos))
    negative = list(predict_photos(predictor, photos, regions=Crops(seen.boxes, 0.0, "negative")))
    assert negative[:-1] == [Prediction(str(path), 0.0, "dark", None) for path in photos[:-1]]
    assert negative[-1].error == "file is damaged"
    unknown = list(predict_photos(predictor, photos, regions=Crops({}, 0.0, "negative")))
    assert unknown == list(predict_photos(predictor, photos))


@pytest.mark.slow  # answers 60 photos as tiles
def test_memory_is_bounded_by_pictures(predictor, photos, monkeypatch):
    """Each thread has the pictures of one photo, and answers them before it loads another."""
    held: list[int] = []

    def load(*arguments):
        pictures = load_regions(*arguments)
        held.append(len(pictures))
        return pictures

    def answer(pixels, real=predictor.predict_pixels):
        assert sum(held) <= Tiles(3).most
        held.pop()
        return real(pixels)

    monkeypatch.setattr(predictor_module, "load_regions", load)
    monkeypatch.setattr(predictor, "predict_pixels", answer)
    assert len(list(predict_photos(predictor, [photos[3]] * 60, regions=Tiles(3), workers=1))) == 60


# Heat maps


def draw(tmp_path: Path, predictor: Predictor, photo: Path, regions) -> np.ndarray:
    folder = tmp_path / "drawn"
    on_windows = HeatmapFolder(folder, predictor.manifest)
    list(predict_photos(predictor, [photo], regions=regions, on_windows=on_windows))
    (file,) = folder.rglob("*.jpg")
    with Image.open(file) as image:
        return np.asarray(image).astype(int)


def find_orange(pixels: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.where(pixels[:, :, 0] - pixels[:, :, 2] > 40)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def find_frame(photo: np.ndarray) -> tuple[int, int, int, int]:
    """The outer edge of the black line around an area of a grey photo."""
    rows, columns = np.where(photo.max(2) < 8)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("resize", ["squish", "crop", "pad"])
def test_the_frame_lies_on_the_crop_and_its_windows_beside_it(tmp_path, resize):
    predictor = Predictor(write_model(tmp_path / "model.onnx", resize=resize))
    # The spot fills the lower right quarter of the animal's box: the last 2 x 2 of 4 x 4 windows.
    box = (0.5, 0.25, 0.75, 0.75)  # 200 x 200 of 800 x 400 px
    photo = spot(tmp_path / "a.png", (0.625, 0.5, 0.75, 0.75), size=(800, 400))
    page = draw(tmp_path, predictor, photo, Crops({absolute(photo): (box,)}, 0.0))
    assert page.shape == (480 + 62, 800 + 8 + 480, 3)
    assert np.abs(np.array(find_frame(page[:400, :800])) - (400, 100, 600, 300)).max() <= 2
    left, top, right, bottom = find_orange(page[:480, 808:])
    assert np.abs(np.array((left, top, right, bottom)) - (240, 240, 480, 480)).max() <= 8


def test_where_the_whole_frame_is_best_its_map_is_drawn(tmp_path, predictor):
    photo = spot(tmp_path / "a.png", (0, 0, 1, 1), size=(320, 180))
    page = draw(tmp_path, predictor, photo, Tiles(2))
    assert page.shape == (270 + 62, 480, 3)  # the photo alone


def test_the_frame_of_a_tile_is_the_tile(tmp_path, predictor):
    photo = spot(tmp_path / "a.png", (0.8, 0.7, 1.0, 1.0), size=(800, 450))
    (prediction,) = predict_photos(predictor, [photo], regions=Tiles(2))
    page = draw(tmp_path, predictor, photo, Tiles(2))
    assert prediction.box is not None
    expected = np.array(prediction.box) * (800, 450, 800, 450)
    assert expected[2:] == pytest.approx([800, 450])
    assert np.abs(np.array(find_frame(page[:450, :800])) - expected).max() <= 2
