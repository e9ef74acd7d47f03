import json
import re

import onnxruntime
import pytest

from bearcnn.data.photos import load_pixels
from bearcnn.errors import BearcnnError
from bearcnn.export.check_pictures import draw_check_pictures
from bearcnn.export.html import read_network, to_html
from bearcnn.export.run import export_run
from bearcnn.export.web_runtime import WebRuntime
from bearcnn.manifest import stamp_onnx
from tests.helpers.onnx_models import brightness, brightness_model, make_manifest
from tests.helpers.pages import Page

RUNTIME = WebRuntime(b"export {}", b"\0asm")
EVIL = "</script><script>alert(1)</script><!-- \"'&"


def make_page(**fields) -> tuple[str, bytes]:
    model = stamp_onnx(brightness_model(), make_manifest(**fields))
    return to_html(model, RUNTIME).decode(), model


def data_of(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="model">(.*?)</script>', page, re.S)
    return json.loads(found[1])


def test_the_page_holds_the_model_and_answers_of_predict_to_drawn_pictures(tmp_path):
    page, model = make_page(threshold=0.25, resize="crop")
    assert read_network(page.encode()) == model
    data = data_of(page)
    assert (data["threshold"], data["size"], data["resize"], data["tiles"]) == (0.25, 16, "crop", 0)
    assert (data["negative"], data["positive"]) == ("dark", "bright")
    assert len(data["examples"]) == len(draw_check_pictures()) >= 5
    for example, picture in zip(data["examples"], draw_check_pictures(), strict=True):
        file = tmp_path / "picture"
        file.write_bytes(picture.content)
        expected = brightness(load_pixels(file, 16, "crop")[None])[0]
        assert example["probability"] == pytest.approx(expected, abs=1e-6)
    assert onnxruntime.InferenceSession(read_network(page.encode())).get_inputs()[0].name == "pixels"


def test_the_same_model_gives_the_same_page():
    assert make_page() == make_page()


def test_names_are_text_wherever_they_stand():
    page, _ = make_page(name=EVIL, classes=(f"no {EVIL}", f"bear {EVIL}"), body={"name": EVIL, "licence": EVIL})
    assert EVIL not in page
    plain = Page(make_page()[0])
    assert [tag for tag, _ in Page(page).tags] == [tag for tag, _ in plain.tags]
    assert data_of(page)["positive"] == f"bear {EVIL}"


def test_nothing_in_it_has_an_address():
    page, _ = make_page()
    for tag, attributes in Page(page).tags:
        for name in ("src", "href", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    (rules,) = [each["content"] for _, each in Page(page).tags if each.get("http-equiv") == "Content-Security-Policy"]
    assert rules.startswith("default-src 'none'; ")
    assert not re.search(r"unsafe-inline|unsafe-eval(?<!wasm-unsafe-eval)|https?:|\*|connect-src|'self'", rules)
    assert "url(" not in page.split("</style>")[0].split("<style>")[1]


def test_licence_threshold_and_digest_can_be_read_in_it():
    page, model = make_page(threshold=0.125)
    assert "Copyright (c) Microsoft Corporation" in page
    assert "MIT License" in page
    assert "<td>0.125</td>" in page
    digest = re.search(rb'"digest":"([0-9a-f]{32})"', model)[1].decode()
    assert f"<td>{digest}</td>" in page


@pytest.mark.slow
def test_another_format_takes_no_runtime(trained, tmp_path):
    run, dataset, _ = trained
    with pytest.raises(BearcnnError, match="a pt2 file holds no onnxruntime-web: omit --runtime"):
        export_run(run, dataset, "pt2", tmp_path / "b.pt2", runtime=tmp_path)


@pytest.mark.slow
def test_a_runtime_that_is_another_one_stops_the_export(trained, tmp_path):
    run, dataset, _ = trained
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (tmp_path / name).write_bytes(b"other")
    with pytest.raises(BearcnnError, match="SHA-256 differs"):
        export_run(run, dataset, "html", tmp_path / "bear.html", runtime=tmp_path)
    assert not (tmp_path / "bear.html").exists()
