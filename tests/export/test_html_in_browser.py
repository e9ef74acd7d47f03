"""The model's page in a real browser, opened as a file and without a network; skipped where there is none."""

import base64
import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from bearcnn.data.photos import load_regions
from bearcnn.data.regions import WHOLE_FRAMES, Tiles
from bearcnn.data.synthetic.scene import draw_scene
from bearcnn.errors import PhotoError
from bearcnn.evaluation.formats import decimal
from bearcnn.export.html import resizes_columns_first, to_html
from bearcnn.export.run import export_run
from bearcnn.export.web_runtime import find_runtime
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.manifest import stamp_onnx
from tests.helpers.onnx_models import brightness_model, make_manifest
from tests.helpers.places import SHARED
from tests.report.test_browser import CONTRAST, Opened, browser, pytestmark

__all__ = ["browser", "pytestmark"]

REAL = SHARED / "data"
needs_real_photos = pytest.mark.skipif(not REAL.is_dir(), reason="the shared photos are not here")

SQUARES = """async ([data, size, resize, tiles]) => {
  const file = new Blob([Uint8Array.from(atob(data), letter => letter.charCodeAt(0))]);
  try {
    const areas = (width, height) => findAreas(width, height, tiles);
    const { image, full, exact } = await readPhoto(file, (w, h) => leastSides(areas(w, h), size), 50);
    const letters = bytes => Array.from(bytes, value => String.fromCharCode(value)).join('');
    return { exact, squares: areas(...full).map(area => btoa(letters(toSquare(image, size, resize, area)))) };
  } catch (error) { return { reason: `${error.constructor.name}: ${error.message}` }; }
}"""

ANSWER = """async data => {
  const file = new Blob([Uint8Array.from(atob(data), letter => letter.charCodeAt(0))]);
  return (await answer(file)).probability;
}"""

CHECKED = "document.documentElement.dataset.checked"


@pytest.fixture(scope="module")
def reader(browser) -> Any:
    """A page with the scripts that read photos, alone."""
    page = browser.new_page()
    for name in ("jpeg.js", "photo.js"):
        page.add_script_tag(content=(files("bearcnn.export") / "templates" / name).read_text("utf-8"))
    page.evaluate("first => { columnsFirst = first; }", resizes_columns_first())
    yield page
    page.close()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def squares_here(content: bytes, size: int, resize: str, tiles: int) -> list[np.ndarray]:
    find = (Tiles(tiles) if tiles else WHOLE_FRAMES).of(Path("photo"))
    return [pixels for _, pixels in load_regions(BytesIO(content), find, size, resize)]


def squares_there(page: Any, content: bytes, size: int, resize: str, tiles: int) -> tuple[list[np.ndarray], bool]:
    found = page.evaluate(SQUARES, [text(content), size, resize, tiles])
    assert "squares" in found, found
    raw = [np.frombuffer(base64.b64decode(square), np.uint8) for square in found["squares"]]
    return [pixels.reshape(size, size, 3) for pixels in raw], found["exact"]


def assert_same_squares(page: Any, content: bytes, size: int, resize: str = "squish", tiles: int = 0) -> None:
    there, exact = squares_there(page, content, size, resize, tiles)
    assert exact
    np.testing.assert_array_equal(there, squares_here(content, size, resize, tiles))


def scene(width: int, height: int, number: int = 0) -> Image.Image:
    side = max(width, height, 32)
    return draw_scene(3, number, size=side, is_bear=True).image.crop((0, 0, width, height))


def saved(image: Image.Image, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("shape", [(301, 203), (97, 131), (35, 17)])
def test_a_jpeg_is_read_to_the_same_bytes_at_every_scale(reader, shape, subsampling, progressive) -> None:
    content = saved(scene(*shape), quality=80, subsampling=subsampling, progressive=progressive)
    for size in (200, 96, 48, 24, 8):  # decoded at 1/1 to 1/8, and enlarged
        assert_same_squares(reader, content, size)


@pytest.mark.parametrize("factor", ["411", "440"])
def test_rare_sampling_and_restarts_too(reader, factor) -> None:
    pixels = np.asarray(scene(203, 150))
    name = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{factor}")
    options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, name, cv2.IMWRITE_JPEG_RST_INTERVAL, 3]
    content = cv2.imencode(".jpg", pixels, options)[1].tobytes()
    assert b"\xff\xd0" in content
    for size in (128, 64, 32, 16):
        assert_same_squares(reader, content, size)


@pytest.mark.parametrize("resize", ["squish", "crop", "pad"])
@pytest.mark.parametrize("shape", [(640, 233), (111, 160), (20, 9)])
def test_every_resize_mode_and_tiles_give_the_same_squares(reader, shape, resize) -> None:
    content = saved(scene(*shape), quality=90)
    for tiles in (0, 1, 2, 3):
        assert_same_squares(reader, content, 32, resize, tiles)


@pytest.mark.parametrize("orientation", range(9))
def test_a_photo_on_its_side_is_turned(reader, orientation) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_same_squares(reader, saved(scene(150, 97), exif=exif), 40)
    assert_same_squares(reader, saved(scene(150, 97).convert("L"), exif=exif), 40)


def test_a_png_is_read_by_the_browser_and_white_where_it_is_transparent(reader) -> None:
    image = scene(90, 60).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    (there,), exact = squares_there(reader, buffer.getvalue(), 32, "squish", 0)
    (here,) = squares_here(buffer.getvalue(), 32, "squish", 0)
    assert not exact
    assert np.abs(there.astype(int) - here).max() <= 3  # rounded twice


@pytest.mark.parametrize("cut", [0.999, 0.5, 0.01])
def test_a_cut_file_is_refused(reader, cut) -> None:
    for progressive in (False, True):
        whole = saved(scene(200, 150), progressive=progressive)
        content = whole[: int(len(whole) * cut)]
        with pytest.raises(PhotoError):
            squares_here(content, 32, "squish", 0)
        assert "PhotoError: file is" in reader.evaluate(SQUARES, [text(content), 32, "squish", 0])["reason"]


def test_broken_bytes_end_in_a_reason_or_a_picture(reader) -> None:
    rng = random.Random(0)
    for progressive in (False, True):
        whole = saved(scene(120, 90), progressive=progressive)
        for _ in range(60):
            broken = bytearray(whole)
            for _ in range(rng.choice([1, 3, 20])):
                broken[rng.randrange(2, len(broken))] = rng.randrange(256)
            found = reader.evaluate(SQUARES, [text(bytes(broken)), 32, "squish", 0])
            assert "squares" in found or found["reason"].startswith("PhotoError"), found


@needs_real_photos
def test_real_jpegs_are_read_to_the_same_bytes(reader) -> None:
    photos = sorted((REAL / "bears").rglob("*.jpg"))[::60] + sorted((REAL / "orientation").rglob("*.jpg"))
    photos += sorted((REAL / "large").glob("*.jpg"))[:1]
    compared = 0
    for photo in photos:
        content = photo.read_bytes()
        if content.startswith(b"\xff\xd8\xff"):
            assert_same_squares(reader, content, 128)
            compared += 1
    assert compared > 40


@pytest.fixture(scope="module")
def small_page(trained, web_runtime, tmp_path_factory) -> Path:
    run, dataset, _ = trained
    file = tmp_path_factory.mktemp("page") / "bear.html"
    export_run(run, dataset, "html", file, runtime=web_runtime)
    return file


def open_page(browser, file: Path, width: int = 1280, scheme: str = "light") -> Opened:
    opened = Opened(browser, file, width, scheme, offline=True)
    opened.page.wait_for_selector("html[data-checked]", state="attached")  # a function would need eval, and is refused
    return opened


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_answers_as_predict_asks_nobody_and_can_be_read(
    browser, trained, small_page, photos, tmp_path, width, scheme
) -> None:
    run, _, _ = trained
    opened = open_page(browser, small_page, width, scheme)
    page = opened.page
    assert page.evaluate(CHECKED) == "good"
    assert "this browser answers as bearcnn predict does" in page.text_content("#verdict")
    broken = tmp_path / "broken & <b>.jpg"
    broken.write_bytes(b"no picture")
    chosen = sorted(photos.rglob("*.jpg"))[:6]
    page.set_input_files("#files", [*chosen, broken])
    page.wait_for_selector("#photos li:nth-child(7) .answer strong", state="attached")
    answers = [each.split() for each in page.locator("#photos .answer").all_text_contents()]
    expected = list(predict_photos(Predictor(run.onnx_file), chosen))
    assert [each[-1] for each in answers[:6]] == [decimal(each.probability) for each in expected]
    assert [each[0] for each in answers[:6]] == [each.label for each in expected]
    assert " ".join(answers[6]) == "no answer not a picture, or damaged"
    assert page.locator("#photos .name").all_text_contents()[6] == broken.name
    assert page.locator("#photos img").count() == 6
    assert page.text_content("#count").startswith("7 photos: ")
    for each in expected:
        file = text(Path(each.path).read_bytes())
        assert page.evaluate(ANSWER, file) == pytest.approx(each.probability, abs=1e-5)
    assert {url for url in opened.asked if not url.startswith(("data:", "blob:"))} == {small_page.as_uri()}
    assert opened.said == []
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.wait_for_selector("#notices-text:not(:empty)")
    assert len(page.text_content("#notices-text")) > 100_000
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []
    page.close()


@pytest.fixture
def heard() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this computer, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()
        thread.join()


ASK = """async address => {
  const asked = [fetch(`${address}/fetch`).then(() => 'answered', () => 'refused')];
  for (const [tag, name] of [['img', 'src'], ['script', 'src'], ['iframe', 'src'], ['link', 'href']]) {
    const element = document.createElement(tag);
    asked.push(new Promise(done => element.onload = element.onerror = () => done(tag)));
    if (tag === 'link') element.rel = 'stylesheet';
    element[name] = `${address}/${tag}`;
    document.body.append(element);
  }
  await Promise.race([Promise.all(asked), new Promise(done => setTimeout(done, 20000))]);
}"""


@pytest.mark.slow
def test_no_request_leaves_the_page_even_if_a_script_in_it_asks(browser, small_page, heard, tmp_path) -> None:
    address, paths = heard
    free = tmp_path / "free.html"
    free.write_text("<!doctype html><body>")
    page = Opened(browser, free, 390, "light").page
    page.evaluate(ASK, address)
    assert {"/fetch", "/img", "/script", "/iframe", "/link"} <= set(paths)  # a page without rules gets through
    page.close()
    paths.clear()
    page = Opened(browser, small_page, 390, "light").page
    page.wait_for_selector("html[data-checked]", state="attached")
    page.evaluate(ASK, address)
    assert paths == []
    page.close()


@pytest.mark.slow
def test_it_can_be_used_by_keyboard(browser, small_page, photos) -> None:
    page = open_page(browser, small_page, 390).page
    photo = sorted(photos.rglob("*.jpg"))[0]
    page.focus("#files")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    assert chooser.value.is_multiple()
    chooser.value.set_files([photo, photo])
    page.wait_for_selector("#photos li:nth-child(2) img")
    assert page.locator(".windows").first.is_visible()
    page.focus("#shown")
    page.keyboard.press("Space")
    assert not page.locator(".windows").first.is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#photos li").count() == 0
    assert page.evaluate("document.activeElement.id") == "files"
    page.close()


@pytest.mark.slow
def test_photos_can_be_dropped_anywhere(browser, small_page, photos) -> None:
    page = open_page(browser, small_page).page
    page.evaluate(
        """data => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(atob(data), letter => letter.charCodeAt(0))], "dropped.jpg"));
          const dropped = { dataTransfer: transfer, bubbles: true, cancelable: true };
          document.querySelector("h1").dispatchEvent(new DragEvent("drop", dropped));
        }""",
        text(sorted(photos.rglob("*.jpg"))[0].read_bytes()),
    )
    page.wait_for_selector("#photos img")
    assert page.text_content("#photos .name") == "dropped.jpg"
    page.close()


@pytest.mark.slow
def test_a_page_whose_answers_differ_says_so(browser, small_page, tmp_path) -> None:
    wrong = tmp_path / "wrong.html"
    page_text = small_page.read_text(encoding="utf-8")
    wrong.write_text(page_text.replace('"tolerance": 0.001', '"tolerance": -1'), encoding="utf-8")
    assert wrong.read_bytes() != small_page.read_bytes()
    page = open_page(browser, wrong).page
    assert page.evaluate(CHECKED) == "bad"
    assert page.text_content("#verdict").startswith("Don't trust the answers in this browser")
    assert page.locator("#check").evaluate("each => each.open")
    page.close()


@pytest.fixture(scope="module")
def bright_page(web_runtime) -> str:
    manifest = make_manifest(unsure=(0.05, 0.9))
    return to_html(stamp_onnx(brightness_model(), manifest), find_runtime(web_runtime)).decode()


@pytest.mark.slow
@pytest.mark.parametrize(("resize", "tiles"), [("crop", 0), ("pad", 0), ("squish", 2)])
def test_windows_lie_over_what_the_network_saw(browser, bright_page, tmp_path, resize, tiles) -> None:
    file = tmp_path / "page.html"
    file.write_text(
        bright_page.replace('"resize": "squish"', f'"resize": "{resize}"').replace('"tiles": 0', f'"tiles": {tiles}')
    )
    photo = np.zeros((100, 300, 3), np.uint8)
    photo[:, 230:] = 255  # the right end is bright
    Image.fromarray(photo).save(tmp_path / "photo.png")
    page = open_page(browser, file).page
    page.set_input_files("#files", tmp_path / "photo.png")
    page.wait_for_selector("#photos img")
    assert ("unsure: look at it" in page.text_content(".answer")) == (resize == "pad")  # the tile is white
    box, over = (page.locator(name).bounding_box() for name in (".photo", ".windows"))
    left, wide = (over["x"] - box["x"]) / box["width"], over["width"] / box["width"]
    top, high = (over["y"] - box["y"]) / box["height"], over["height"] / box["height"]
    if tiles:  # the one at the right end
        assert left + wide == pytest.approx(1, abs=0.01)
        assert wide < 0.5
    elif resize == "crop":  # the middle square
        assert (left, wide, top, high) == pytest.approx((1 / 3, 1 / 3, 0, 1), abs=0.02)
    else:  # with bars above and below
        assert (left, wide, top, high) == pytest.approx((0, 1, -1, 3), abs=0.05)
    page.close()


@pytest.mark.slow
@needs_real_photos
def test_real_photos_are_answered_within_a_thousandth(browser, trained, small_page) -> None:
    run, _, _ = trained
    chosen = sorted((REAL / "bears" / "valid").rglob("*.jpg"))[::40] + sorted((REAL / "large").glob("*.jpg"))[:1]
    page = open_page(browser, small_page).page
    predictions = [each for each in predict_photos(Predictor(run.onnx_file), chosen) if each.probability is not None]
    assert len(predictions) >= 10
    for each in predictions:
        there = page.evaluate(ANSWER, text(Path(each.path).read_bytes()))
        assert there == pytest.approx(each.probability, abs=1e-3), each.path
    page.close()
