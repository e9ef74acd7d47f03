"""onnxruntime-web, which computes a network in a web page: from a folder, from the cache, or once by npm.

It is no part of bearcnn. Only two of its files are used, and only as they were when bearcnn was tried with them: their
digests are known.
"""

import shutil
import subprocess
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bearcnn.data.cache_folder import cache_root
from bearcnn.data.scratch import scratch_folder
from bearcnn.errors import BearcnnError, MissingPackageError
from bearcnn.files import write_folder_atomically

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web@{VERSION}"
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"
"""The archive's name, as `npm pack` writes it."""

MODULE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
SHA256 = {
    MODULE: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}

_TIMEOUT = 600  # s; the archive has 33 MB
_PLACES = ("", "dist", "package/dist", "node_modules/onnxruntime-web/dist")
"""Where the files lie in a folder that is named: that of the files, of the package or of a project."""

_LARGEST = 64_000_000  # bytes of one file


@dataclass(frozen=True, slots=True)
class WebRuntime:
    """The two files of onnxruntime-web that a page on the processor needs."""

    module: bytes  # JavaScript
    wasm: bytes
    version: str = VERSION


def is_kept() -> bool:
    """Check whether the runtime is in the cache."""
    return all((_kept() / name).is_file() for name in SHA256)


def find_runtime(folder: Path | None = None) -> WebRuntime:
    """Return the runtime from a folder; without one from the cache, where npm puts it on first use.

    The folder holds the files, the unpacked package, a project with it in node_modules, or the archive of `npm pack`.

    Raises:
        MissingPackageError: there is no npm, or it can't get the package.
        BearcnnError: the folder lacks the files, or a file is another one than bearcnn was tried with.
    """
    if folder is not None:
        return _check(_read_folder(folder), str(folder), "name a folder with that version, or omit --runtime")
    kept = _kept()
    if not is_kept():
        write = _check(_fetch(), "npm's package", "check the registry that npm is configured with")
        with suppress(BearcnnError):  # another process was first, or the cache can't be written: this page has it
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_folder_atomically(kept, {MODULE: write.module, WASM: write.wasm})
        return write
    return _check(_read_files(kept), str(kept), "delete that folder, and export again")


def _kept() -> Path:
    return cache_root() / f"onnxruntime-web-{VERSION}"


def _check(files: dict[str, bytes], where: str, remedy: str) -> WebRuntime:
    """Check the digests of the files."""
    for name, digest in SHA256.items():
        if sha256(files[name]).hexdigest() != digest:
            raise BearcnnError(
                f"{where}: {name} is not that of onnxruntime-web {VERSION}, with which bearcnn was tried (its SHA-256 "
                f"differs); {remedy}"
            )
    return WebRuntime(files[MODULE], files[WASM])


def _read_folder(folder: Path) -> dict[str, bytes]:
    for place in _PLACES:
        if all((folder / place / name).is_file() for name in SHA256):
            return _read_files(folder / place)
    if (folder / ARCHIVE).is_file():
        return _read_archive(folder / ARCHIVE)
    raise BearcnnError(
        f"{folder} holds neither {MODULE} and {WASM} nor {ARCHIVE}; `npm pack {PACKAGE}` writes the archive"
    )


def _read_files(folder: Path) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in SHA256}
    except OSError as error:
        raise BearcnnError(f"{folder} can't be read: {error.strerror or error}; check its permissions") from None


def _read_archive(archive: Path) -> dict[str, bytes]:
    """Read the files from the archive; nothing is unpacked."""
    found = {}
    try:
        with tarfile.open(archive) as tar:
            for name in SHA256:
                file = tar.extractfile(f"package/dist/{name}")
                if file is None:
                    raise KeyError(name)
                found[name] = file.read(_LARGEST)
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        reason = " ".join(str(error).split())
        raise BearcnnError(f"{archive} is damaged or another package ({reason}); get it again") from None
    return found


def _fetch() -> dict[str, bytes]:
    """Let npm fetch the package, from the registry that it is configured with, and return the files."""
    by_hand = f"or run `npm pack {PACKAGE}` on another computer and name the folder of {ARCHIVE} with --runtime"
    npm = shutil.which("npm")
    if npm is None:
        raise MissingPackageError(
            f"a page needs onnxruntime-web {VERSION} (MIT, 33 MB), and there is no npm to get it: install Node.js, "
            f"{by_hand}"
        )
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with scratch_folder(root, "onnxruntime-web") as folder:
            command = [npm, "pack", PACKAGE, "--pack-destination", ".", "--ignore-scripts", "--fetch-retries=1"]
            done = subprocess.run(  # noqa: S603 - the words of the command are constants
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
            )
            if done.returncode or not (folder / ARCHIVE).is_file():
                raise MissingPackageError(
                    f"npm can't get {PACKAGE} ({_reason(done.stderr)}): try again with a network, {by_hand}"
                )
            return _read_archive(folder / ARCHIVE)
    except subprocess.TimeoutExpired:
        raise MissingPackageError(
            f"npm has not got {PACKAGE} in {_TIMEOUT} s: try again with a faster network, {by_hand}"
        ) from None
    except OSError as error:
        raise BearcnnError(
            f"{root} can't be written ({error.strerror or error}); set BEARCNN_CACHE to a folder that can"
        ) from None


def _reason(said: str) -> str:
    """Return the reason in npm's messages, without its addresses."""
    lines = [line.removeprefix("npm error ").strip() for line in said.splitlines() if line.startswith("npm error")]
    codes = [line.removeprefix("code ") for line in lines if line.startswith("code ")]
    return codes[0] if codes else "it says nothing"
