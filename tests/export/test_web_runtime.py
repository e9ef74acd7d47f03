import io
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from bearcnn.errors import BearcnnError, MissingPackageError
from bearcnn.export.web_runtime import ARCHIVE, MODULE, PACKAGE, WASM, find_runtime, is_kept


def make_archive(path: Path, *names: str) -> None:
    """An archive as npm packs it, of files that are not onnxruntime's."""
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = 5
            tar.addfile(entry, io.BytesIO(b"other"))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Put a program of this text in the place of npm."""

    def place(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        file = folder / "npm"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return place


@pytest.mark.parametrize("place", [".", "dist", "package/dist", "node_modules/onnxruntime-web/dist"])
def test_files_that_are_others_are_refused_wherever_a_folder_has_them(tmp_path, place):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for name in (MODULE, WASM):
        (tmp_path / place / name).write_bytes(b"other")
    with pytest.raises(BearcnnError, match=rf"{MODULE} is not that of onnxruntime-web .* SHA-256 differs.*--runtime"):
        find_runtime(tmp_path)


def test_an_archive_of_others_is_refused_too(tmp_path):
    make_archive(tmp_path / ARCHIVE, MODULE, WASM)
    with pytest.raises(BearcnnError, match="is not that of onnxruntime-web"):
        find_runtime(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_broken_archive_is_one_line(tmp_path, content):
    if content is None:
        make_archive(tmp_path / ARCHIVE, MODULE)
    else:
        (tmp_path / ARCHIVE).write_bytes(content)
    with pytest.raises(BearcnnError, match=r"is damaged or another package .*; get it again") as error:
        find_runtime(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_without_it_says_how_to_get_it(tmp_path):
    with pytest.raises(BearcnnError, match=f"`npm pack {PACKAGE}` writes the archive"):
        find_runtime(tmp_path)


def test_without_npm_one_line_says_what_to_do(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        MissingPackageError, match=r"there is no npm to get it: install Node.js, or run .*--runtime"
    ) as error:
        find_runtime()
    assert "\n" not in str(error.value)


def test_npm_that_fails_says_why_in_one_line_and_leaves_nothing(cache, npm):
    npm("echo 'npm error code ENOTFOUND' >&2; echo 'npm error request to https://host.example failed' >&2; exit 1")
    with pytest.raises(MissingPackageError, match=r"npm can't get .* \(ENOTFOUND\): try again") as error:
        find_runtime()
    assert "host.example" not in str(error.value)
    assert [each for each in cache.iterdir() if each.is_dir()] == []


def test_another_package_from_npm_is_refused_and_not_kept(cache, npm, tmp_path):
    make_archive(tmp_path / "others.tgz", MODULE, WASM)
    npm(f"cp {tmp_path / 'others.tgz'} {ARCHIVE}")
    with pytest.raises(BearcnnError, match=r"npm's package: .* is not that of"):
        find_runtime()
    assert not is_kept()


def test_what_is_in_the_cache_is_used_without_npm(web_runtime, cache, monkeypatch, tmp_path):
    shutil.copytree(web_runtime, cache / web_runtime.name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert is_kept()
    found = find_runtime()
    assert found == find_runtime(web_runtime)
    assert found.wasm.startswith(b"\0asm")
    file = cache / web_runtime.name / WASM
    file.write_bytes(found.wasm[:-1] + b"\1")
    with pytest.raises(BearcnnError, match=f"{WASM} is not that of .*; delete that folder"):
        find_runtime()
