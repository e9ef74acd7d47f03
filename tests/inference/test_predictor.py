import gc
import itertools
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from PIL import Image

import bearcnn
from bearcnn.data.photos import load_pixels
from bearcnn.errors import DataError, ModelFileError, PhotoMemoryError
from bearcnn.inference import predictor as predictor_module
from bearcnn.inference.engines.base import Answers
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.predictor import BATCH_SIZE, Predictor, predict_photos, predict_rows
from bearcnn.manifest import stamp_onnx
from tests.helpers.onnx_models import (
    WINDOW,
    brightness,
    brightness_model,
    make_manifest,
    stamp_as_before,
    write_model,
    write_weights,
)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(write_model(tmp_path_factory.mktemp("model") / "model.onnx"))


def save_photo(path: Path, grey: int = 200, size: tuple[int, int] = (20, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)
    return path


def random_pixels(n: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def run_python(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=Path(bearcnn.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# The network's answers


@pytest.mark.parametrize("n", [1, BATCH_SIZE, 2 * BATCH_SIZE + 5])
def test_pixels_get_the_probability_of_the_whole_and_of_each_window(predictor: Predictor, n: int) -> None:
    pixels = random_pixels(n)
    probability, window_probability = predictor.predict_pixels(pixels)
    assert probability == pytest.approx(brightness(pixels), abs=1e-6)
    assert window_probability.shape == (n, 4, 4)
    for row, column in itertools.product(range(4), repeat=2):
        window = pixels[:, row * WINDOW : (row + 1) * WINDOW, column * WINDOW : (column + 1) * WINDOW]
        assert window_probability[:, row, column] == pytest.approx(brightness(window), abs=1e-6)


@pytest.mark.parametrize("where", ["load_pixels", "stack"])
def test_a_photo_without_memory_for_it_is_a_row_and_the_others_are_answered(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    paths = [save_photo(tmp_path / f"{number}.png", 200) for number in range(5)]
    owner = predictor_module if where == "load_pixels" else predictor_module.np
    real, calls = getattr(owner, where), itertools.count()

    def fail_once(*arguments: object, **more: object) -> object:
        if next(calls) == 2:
            raise MemoryError if where == "stack" else PhotoMemoryError
        return real(*arguments, **more)

    monkeypatch.setattr(owner, where, fail_once)
    rows = list(predict_photos(predictor, paths, workers=1))
    assert [row.error for row in rows].count(None) == 4
    assert {row.error for row in rows} == {None, "too large for this computer's memory"}


def test_the_largest_photo_is_that_of_training_or_as_asked_for(tmp_path: Path) -> None:
    photo = tmp_path / "large.png"
    Image.new("RGB", (1200, 1000)).save(photo)
    trained = write_model(tmp_path / "small.onnx", config={"data": {"max_megapixels": 1}})
    reason = "too large: 1200x1000 px, more than max_megapixels = 1"
    for predictor, expected in (
        (Predictor(trained), reason),
        (Predictor(trained, max_megapixels=2), None),
        (Predictor(write_model(tmp_path / "model.onnx")), None),
        (Predictor(write_model(tmp_path / "odd.onnx", config={"data": {"max_megapixels": "many"}})), None),
    ):
        (row,) = predictor.predict(photo)
        assert row.error == expected


def test_no_pictures_get_no_answers(predictor: Predictor) -> None:
    probability, window_probability = predictor.predict_pixels(random_pixels(0))
    assert probability.shape == (0,)
    assert window_probability.shape == (0, 4, 4)


def test_a_picture_gets_the_same_answer_alone_and_among_others(predictor: Predictor) -> None:
    pixels = random_pixels(40)
    together = predictor.predict_pixels(pixels)[0]
    alone = [predictor.predict_pixels(pixels[i : i + 1])[0][0] for i in range(40)]
    assert together.tolist() == pytest.approx(alone, abs=1e-7)


@pytest.mark.parametrize(
    "pixels",
    [random_pixels(2).astype(np.float32), random_pixels(2, 15), random_pixels(2)[..., :1], random_pixels(2)[0]],
    ids=["floats", "another size", "grey", "no batch"],
)
def test_pixels_of_another_kind_are_refused(predictor: Predictor, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"not uint8 \(n, 16, 16, 3\)"):
        predictor.predict_pixels(pixels)


def test_rows_of_a_cache_are_answered_in_the_order_asked_for(tmp_path: Path) -> None:
    predictor = Predictor(write_model(tmp_path / "model.onnx"))
    pixels = random_pixels(60)
    rows = np.arange(0, 60, 2)[::-1]
    seen: list[tuple[int, int]] = []
    probability, windows = predict_rows(predictor, pixels, rows, lambda done, total: seen.append((done, total)))
    expected, expected_windows = predictor.predict_pixels(pixels[rows])
    assert probability.tolist() == expected.tolist()
    assert windows.tolist() == expected_windows.tolist()
    assert seen == [(min(start + BATCH_SIZE, 30), 30) for start in range(0, 30, BATCH_SIZE)]


def test_no_rows_get_no_answers(predictor: Predictor) -> None:
    probability, windows = predict_rows(predictor, random_pixels(3), np.array([], np.int64))
    assert (probability.shape, windows.shape) == ((0,), (0, 4, 4))


@pytest.mark.parametrize("one_by_one", [False, True])
def test_threads_change_no_answer_and_are_no_more_than_asked_for(tmp_path: Path, one_by_one: bool) -> None:
    file, pixels = write_model(tmp_path / "model.onnx"), random_pixels(64)
    expected = Predictor(file, threads=1).predict_pixels(pixels)
    predictor = Predictor(file, threads=3, one_by_one=one_by_one)
    run, busy, most = predictor._network.run, [], []

    def counted(batch: np.ndarray) -> Answers:
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.002)  # the chance to meet others
        answers = run(batch)
        busy.pop()
        return answers

    predictor._network.run = counted  # type: ignore[method-assign]
    with ThreadPoolExecutor(8) as pool:
        for probability, windows in pool.map(predictor.predict_pixels, [pixels] * 8):
            assert probability.tobytes() == expected[0].tobytes()
            assert windows.tobytes() == expected[1].tobytes()
    assert max(most) == (1 if one_by_one else 3)


# Photos


def test_photos_are_answered_in_the_order_they_were_named(predictor: Predictor, tmp_path: Path) -> None:
    # Every third photo takes far longer to decode, so that later ones are ready before it.
    paths = [
        save_photo(tmp_path / f"{i:02}.png", grey=i * 4, size=(1500, 1500) if i % 3 == 0 else (8, 8)) for i in range(50)
    ]
    paths.reverse()
    predictions = list(predict_photos(predictor, paths, workers=3))
    assert [prediction.path for prediction in predictions] == [str(path) for path in paths]
    expected = [float(brightness(np.full((1, 16, 16, 3), i * 4, np.uint8))[0]) for i in range(50)][::-1]
    assert [prediction.probability for prediction in predictions] == pytest.approx(expected, abs=1e-6)
    assert [prediction.label for prediction in predictions] == ["bright" if p >= 0.5 else "dark" for p in expected]


@given(st.integers(1, 4), st.lists(st.integers(0, 9), max_size=25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
def test_workers_change_no_answer(predictor: Predictor, tmp_path: Path, workers: int, photos: list[int]) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(10)]
    if not paths[0].exists():
        for i, path in enumerate(paths[:8]):  # two are missing
            Image.fromarray(random_pixels(1, 20 + i)[0]).save(path)
    chosen = [paths[i] for i in photos]
    one_by_one = [prediction for path in chosen for prediction in predict_photos(predictor, [path])]
    assert list(predict_photos(predictor, chosen, workers=workers)) == one_by_one


def test_photos_are_prepared_as_in_training(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)).save(photo)
    answers = set()
    for resize in ("squish", "crop", "pad"):
        predictor = Predictor(write_model(tmp_path / f"{resize}.onnx", resize=resize))
        (prediction,) = predict_photos(predictor, [photo])
        (expected,) = predictor.predict_pixels(load_pixels(photo, 16, resize)[None])[0].tolist()
        assert prediction == Prediction(str(photo), expected, "bright" if expected >= 0.5 else "dark", None)
        answers.add(expected)
    assert len(answers) == 3


def test_a_bad_photo_is_a_row_with_its_reason_and_the_others_are_answered(predictor: Predictor, tmp_path: Path) -> None:
    good = save_photo(tmp_path / "good.jpg", size=(200, 200))
    (tmp_path / "truncated.jpg").write_bytes(good.read_bytes()[:-300])
    (tmp_path / "letter.jpg").write_text("Dear bear")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder").mkdir()
    names = ["good.jpg", "truncated.jpg", "letter.jpg", "missing.jpg", "empty.jpg", "folder", "nul\0.jpg", "good.jpg"]
    predictions = list(predict_photos(predictor, [tmp_path / name for name in names]))
    assert [Path(prediction.path).name for prediction in predictions] == names
    assert [prediction.error for prediction in predictions] == [
        None,
        "file is truncated",
        "not a picture",
        "file not found",
        "empty file",
        "a folder without photos, or one that can't be listed",
        "not a file name",
        None,
    ]
    assert predictions[0] == predictions[-1]
    assert predictions[0].label == "bright"
    assert all((row.probability is None) == (row.label is None) == (row.error is not None) for row in predictions)


def test_a_photo_at_the_threshold_is_positive(tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "photo.png", grey=130)
    (found,) = predict_photos(Predictor(write_model(tmp_path / "any.onnx")), [photo])
    assert found.probability is not None
    for threshold, label in [(found.probability, "bright"), (np.nextafter(found.probability, 1), "dark")]:
        predictor = Predictor(write_model(tmp_path / f"{label}.onnx", threshold=float(threshold)))
        assert [prediction.label for prediction in predict_photos(predictor, [photo])] == [label]


def test_a_network_that_answers_nonsense_does_not_pass_for_an_empty_forest(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(stamp_onnx(brightness_model(constant=float("nan")), make_manifest()))
    (prediction,) = predict_photos(Predictor(path), [save_photo(tmp_path / "photo.png")])
    assert (prediction.probability, prediction.label) == (None, None)
    assert prediction.error is not None and "the model answers nan" in prediction.error


def test_no_photos_give_no_predictions(predictor: Predictor) -> None:
    assert list(predict_photos(predictor, [])) == []


def test_only_a_few_paths_are_read_ahead(predictor: Predictor, tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "photo.png")
    read = 0

    def endless() -> Iterator[Path]:
        nonlocal read
        while True:
            read += 1
            yield photo

    predictions = predict_photos(predictor, endless(), workers=2)
    for answered in range(1, 101):
        assert next(predictions).error is None
        time.sleep(0.001)  # the chance to read on without end
        assert read <= answered + 4 * 2 + 1
    predictions.close()
    deadline = time.monotonic() + 10
    while any(thread.name == "read-ahead" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the reading thread goes on after its reader has left"
        time.sleep(0.01)
    assert read <= 100 + 4 * 2 + 2


@pytest.mark.slow  # answers 3,300 photos
def test_ten_times_the_photos_need_no_more_memory(predictor: Predictor, tmp_path: Path) -> None:
    save_photo(tmp_path / "photo.png")
    names = ("photo.png" if number % 2 else f"{number}.png" for number in itertools.count())  # half of them missing
    predictions = predict_photos(predictor, (tmp_path / name for name in names))
    tracemalloc.start()
    try:
        owned = []
        for rows in (300, 3000):  # what waits in the queue differs from moment to moment, by up to 150 kB
            for _ in range(rows):
                next(predictions)
            gc.collect()
            owned.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        predictions.close()
    early, late = owned
    assert late - early < 3000 * 100  # bytes: less than any answer takes


def test_a_path_that_comes_alone_is_answered_at_once(predictor: Predictor, tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "photo.png")
    answered = threading.Event()
    waited: list[bool] = []

    def camera() -> Iterator[Path]:
        yield photo
        waited.append(answered.wait(30))
        yield photo

    predictions = predict_photos(predictor, camera())
    assert next(predictions).label == "bright"
    answered.set()
    assert next(predictions).label == "bright"
    assert waited == [True]
    assert next(predictions, None) is None


def test_what_goes_wrong_while_paths_are_listed_comes_after_the_answers_so_far(
    predictor: Predictor, tmp_path: Path
) -> None:
    photo = save_photo(tmp_path / "photo.png")

    def interrupted() -> Iterator[Path]:
        yield photo
        raise DataError("the disk is gone")

    predictions = predict_photos(predictor, interrupted())
    assert next(predictions).label == "bright"
    with pytest.raises(DataError, match="the disk is gone"):
        next(predictions)


@pytest.mark.slow  # starts a process
def test_one_prediction_loads_no_heavy_package(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from bearcnn.inference.paths import expand_paths, find_model\n"
        "from bearcnn.inference.predictor import Predictor, predict_photos\n"
        "predictor = Predictor(find_model(pathlib.Path(sys.argv[1])))\n"
        "rows = predict_photos(predictor, expand_paths(sys.argv[2:], sys.stdin.buffer))\n"
        "print([row.label for row in rows], *{name.partition('.')[0] for name in sys.modules}, sep='\\n')"
    )
    result = run_python(code, write_model(tmp_path / "model.onnx"), save_photo(tmp_path / "photo.jpg"))
    assert result.stderr == ""
    label, *modules = result.stdout.splitlines()
    assert label == "['bright']"
    heavy = {"torch", "torchvision", "fastai", "fastcore", "matplotlib", "pandas", "scipy", "sklearn", "onnx"}
    assert not heavy & set(modules)


@pytest.mark.slow  # starts a process
def test_a_program_can_leave_while_its_input_is_still_open(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from bearcnn.inference.paths import expand_paths\n"
        "from bearcnn.inference.predictor import Predictor, predict_photos\n"
        "predictor = Predictor(pathlib.Path(sys.argv[1]))\n"
        "print(next(predict_photos(predictor, expand_paths(['-'], sys.stdin.buffer))).label, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(write_model(tmp_path / "model.onnx"))],
        cwd=Path(bearcnn.__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        try:
            process.stdin.write(f"{save_photo(tmp_path / 'photo.jpg')}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "bright\n"
            assert process.wait(30) == 0  # neither waiting for stdin's lock nor aborting over it
            assert process.stderr.read() == ""
        finally:
            process.kill()


# Model files


def test_a_file_of_weights_alone_says_that_onnx_is_needed(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "model.safetensors", make_manifest())
    with pytest.raises(ModelFileError, match=r"needs? a \.onnx file"):
        Predictor(path)


@pytest.mark.parametrize(
    "model",
    [
        brightness_model(input_name="image"),
        brightness_model(input_type=TensorProto.FLOAT),
        brightness_model(size=32),
    ],
    ids=["another input", "floats", "another size"],
)
def test_a_graph_that_does_not_keep_its_manifests_promise_is_refused(tmp_path: Path, model: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(stamp_onnx(model, make_manifest(image_size=16)))
    with pytest.raises(ModelFileError, match=r"doesn't take and give what its manifest says"):
        Predictor(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Sigmoid", b"Sigmund"), (b"window_probability", b"window_improbable!"), (b"scale", b"sca\xffe")],
    ids=["unknown operation", "output without a node", "name that is no text"],
)
def test_a_damaged_graph_is_refused_without_a_word_besides(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], old: bytes, new: bytes
) -> None:
    whole = stamp_as_before(brightness_model(), make_manifest())
    path = tmp_path / "model.onnx"
    path.write_bytes(whole.replace(old, new, 1))
    with pytest.raises(ModelFileError, match=r"is damaged, or needs a newer onnxruntime"):
        Predictor(path)
    assert capfd.readouterr() == ("", "")
