import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bearcnn.errors import DataError, RunError
from bearcnn.inference.paths import argument_folder, expand_paths, find_model
from bearcnn.inference.predictor import Predictor, predict_photos
from tests.helpers.deep_folders import nest_folders
from tests.helpers.onnx_models import write_model

NO_INPUT = io.BytesIO()


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(write_model(tmp_path_factory.mktemp("model") / "model.onnx"))


def save_photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), (200, 200, 200)).save(path)
    return path


def expand(*arguments: str, stdin: bytes = b"") -> list[str]:
    return [path.as_posix() for path in expand_paths(arguments, io.BytesIO(stdin))]


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["a"], "a"),
        (["a/x.jpg"], "a"),
        (["a/x.jpg", "b"], "."),
        (["a", "a/b"], "a"),
        (["a/*.jpg"], "a"),
        (["a/**/x?.jpg"], "a"),
        (["*.jpg"], "."),
        (["a/b/../x.jpg"], "a"),
        (["missing/x.jpg"], "missing"),
        (["a", "-"], None),
        ([], None),
    ],
)
def test_the_folder_of_arguments_is_the_one_that_all_photos_lie_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], folder: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    save_photo(Path("a/b/x.jpg"))
    save_photo(Path("a/x.jpg"))
    save_photo(Path("b/x.jpg"))
    assert argument_folder(arguments) == (None if folder is None else tmp_path / folder)


def test_a_model_is_a_file_or_a_run_folder_or_the_newest_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    file = write_model(run / "model.onnx")
    assert find_model(file) == file
    assert find_model(run) == file
    with pytest.raises(RunError, match="bearcnn train"):
        find_model(None)
    (tmp_path / "runs" / "latest").symlink_to("first", target_is_directory=True)
    assert find_model(None).resolve() == file
    assert find_model(Path("runs/latest")).resolve() == file


def test_the_newest_run_is_found_on_systems_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("runs", "first")
    run.mkdir(parents=True)
    write_model(run / "model.onnx")
    Path("runs", "latest").write_text(f"{run}\n", encoding="utf-8")
    assert Predictor(find_model(None)).manifest.name == "brightness"


def test_a_run_without_a_model_says_how_to_finish_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no model\.onnx.*bearcnn train --resume"):
        find_model(tmp_path)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ["b.jpg", "a.JPG", "night/2.jpg", "night/1.png", "night/deep/3.jpg", "day/4.jpg", "odd[1].jpg"]:
        save_photo(tmp_path / name)
    save_photo(tmp_path / ".hidden" / "h.jpg")
    (tmp_path / "night" / "notes.txt").write_text("no photo")
    (tmp_path / "nothing").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["b.jpg", "a.JPG", "b.jpg"], ["b.jpg", "a.JPG", "b.jpg"]),
        (["night", "b.jpg"], ["night/1.png", "night/2.jpg", "night/deep/3.jpg", "b.jpg"]),
        (["night/"], ["night/1.png", "night/2.jpg", "night/deep/3.jpg"]),
        (["missing.jpg", "missing"], ["missing.jpg", "missing"]),
        (["nothing"], ["nothing"]),
        (["*.jpg"], ["b.jpg", "odd[1].jpg"]),
        (["?.jpg", "night/[12].*"], ["b.jpg", "night/1.png", "night/2.jpg"]),
        (["*/*.jpg"], ["day/4.jpg", "night/2.jpg"]),
        (["night/*"], ["night/1.png", "night/2.jpg", "night/deep/3.jpg", "night/notes.txt"]),
        (["n*"], ["night/1.png", "night/2.jpg", "night/deep/3.jpg"]),
        (["**/*.jpg"], ["b.jpg", "day/4.jpg", "night/2.jpg", "night/deep/3.jpg", "odd[1].jpg"]),
        (["**/deep"], ["night/deep/3.jpg"]),
        (["night/**"], ["night/1.png", "night/2.jpg", "night/deep/3.jpg"]),
        (["night/**/*"], ["night/1.png", "night/2.jpg", "night/deep/3.jpg", "night/notes.txt"]),
        ([".hidden/*", ".h*/h.jpg"], [".hidden/h.jpg", ".hidden/h.jpg"]),
        (["*.gif", "nowhere/*.jpg", "b.jpg/*"], ["*.gif", "nowhere/*.jpg", "b.jpg/*"]),
        (["odd[1].jpg"], ["odd[1].jpg"]),
        (["nothi*"], ["nothi*"]),
        ([], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("photos")
def test_arguments_become_photos_in_their_order(arguments: list[str], expected: list[str]) -> None:
    assert expand(*arguments) == expected


def test_patterns_may_be_absolute(photos: Path) -> None:
    assert expand(f"{photos}/n*/*.png") == [f"{photos.as_posix()}/night/1.png"]


@pytest.mark.usefixtures("photos")
def test_what_matches_nothing_is_a_row_with_its_reason(predictor: Predictor) -> None:
    rows = list(predict_photos(predictor, expand_paths(["*.gif", "nothing", "b.jpg"], NO_INPUT)))
    assert [(row.path, row.error) for row in rows] == [
        ("*.gif", "file not found"),
        ("nothing", "a folder without photos, or one that can't be listed"),
        ("b.jpg", None),
    ]


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("stdin", "expected"),
    [
        (b"b.jpg\nnight/2.jpg\n", ["b.jpg", "night/2.jpg"]),
        (b"b.jpg\r\n\r\n\n  \nnight/2.jpg", ["b.jpg", "night/2.jpg"]),
        (b"b.jpg\0night/2.jpg\0", ["b.jpg", "night/2.jpg"]),
        (b"day\n*.JPG\nmissing\n-\n", ["day/4.jpg", "a.JPG", "missing", "-"]),
        (b"", []),
    ],
)
def test_a_dash_reads_arguments_from_stdin(stdin: bytes, expected: list[str]) -> None:
    assert expand("odd[1].jpg", "-", "a.JPG", stdin=stdin) == ["odd[1].jpg", *expected, "a.JPG"]


def test_names_in_no_known_encoding_are_read_from_stdin(predictor: Predictor, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/B\xe4r.png"  # Latin-1
    try:
        save_photo(tmp_path / "bear.png").rename(os.fsdecode(name))
    except OSError:
        pytest.skip("this file system takes names in Unicode alone")
    (row,) = predict_photos(predictor, expand_paths(["-"], io.BytesIO(name + b"\n")))
    assert (os.fsencode(row.path), row.label) == (name, "bright")


def test_lines_longer_than_a_read_are_whole() -> None:
    names = [f"{'x' * length}.jpg" for length in (65_530, 65_531, 65_532, 70_000, 1, 200_000)]
    assert expand("-", stdin="\n".join(names).encode()) == names


def test_lines_are_answered_as_they_come() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as reading, open(write_end, "wb", buffering=0) as writing:  # noqa: PTH123 - a descriptor
        paths = expand_paths(["-"], reading)
        for name in ("first.jpg", "second.jpg"):
            writing.write(f"{name}\n".encode())
            assert next(paths) == Path(name)
        writing.write(b"third")
        writing.close()
        assert list(paths) == [Path("third")]


def test_a_large_folder_is_listed_lazily(photos: Path) -> None:
    paths = expand_paths([str(photos / "night"), str(photos / "day")], NO_INPUT)
    assert next(paths).name == "1.png"
    (photos / "day" / "new.jpg").touch()
    assert [path.name for path in paths] == ["2.jpg", "3.jpg", "4.jpg", "new.jpg"]


@given(names=st.lists(st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name)))
@settings(deadline=None)
def test_names_between_zero_bytes_may_hold_anything_else(names: list[bytes]) -> None:
    names = [b"/nowhere/" + name for name in names]
    stdin = io.BytesIO(b"".join(name + b"\0" for name in names))
    assert list(expand_paths(["-"], stdin)) == [Path(os.fsdecode(name)) for name in names]


def test_a_name_with_a_line_break_is_one_name_between_zero_bytes(tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "new\nline.png")
    assert list(expand_paths(["-"], io.BytesIO(os.fsencode(photo) + b"\0"))) == [photo]


def test_an_empty_argument_is_refused_and_not_the_current_folder() -> None:
    with pytest.raises(DataError, match=r"empty argument .*current folder is \."):
        expand("")


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="nothing is closed to this user")
def test_a_folder_that_cannot_be_listed_is_a_row_and_the_rest_goes_on(predictor: Predictor, tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "open.jpg")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    rows = list(predict_photos(predictor, expand_paths([str(closed), str(photo)], NO_INPUT)))
    assert [(row.path, row.label) for row in rows] == [(str(closed), None), (str(photo), "bright")]
    assert rows[0].error is not None and "can't be listed" in rows[0].error


def test_a_pattern_stays_out_of_linked_circles(tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "night" / "1.jpg")
    for name in ("again", "and again"):
        (tmp_path / "night" / name).symlink_to(tmp_path, target_is_directory=True)
    assert list(expand_paths([f"{tmp_path}/**/*.jpg"], NO_INPUT)) == [photo]


@pytest.mark.slow  # makes thousands of folders
def test_a_pattern_through_very_deep_folders_is_refused_in_words(tmp_path: Path) -> None:
    with nest_folders(tmp_path, 1200), pytest.raises(DataError, match="leads too deep"):
        expand(f"{tmp_path}/**/*.jpg")
