"""Real photos from the internet: the bears of CIFAR-100 (32 px) and its other classes.

pooch downloads the archive, checks its SHA-256 and unpacks it. An interrupted download leaves nothing and starts again.
"""

import tarfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch
from requests.exceptions import RequestException

from bearcnn.data import OnProgress
from bearcnn.data.cache_folder import cache_root
from bearcnn.data.cifar100 import BEAR, Photos, choose, count_photos, divide, find_photos
from bearcnn.data.scratch import scratch_folder
from bearcnn.errors import DataError

CIFAR_100 = "https://s3.amazonaws.com/fast-ai-imageclas/cifar100.tgz"  # fastai's copy: folders of PNG files, 169 MB
CIFAR_100_SHA256 = "085ac613ceb0b3659c8072143ae553d5dd146b3c4206c3672a56ed02d0e77d28"  # as FastAI.jl's registry has it

_TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 16  # bytes between two calls of on_download


@dataclass(frozen=True, slots=True)
class FetchedSummary:
    """The photos that were written."""

    directory: Path
    bears: int
    others: int
    skipped: int  # photos of other classes that the archive has beyond those wanted


def fetch_cifar100_bears(
    directory: Path,
    *,
    negatives_per_bear: int = 4,
    seed: int = 0,
    url: str = CIFAR_100,
    sha256: str = CIFAR_100_SHA256,
    archives: Path | None = None,
    on_download: OnProgress | None = None,
    on_progress: OnProgress | None = None,
) -> FetchedSummary:
    """Make a folder {train,valid,test}/{bear,not_bear/<class>}/NNN.png of CIFAR-100's photos.

    Each split has `negatives_per_bear` other photos for each bear, as far as there are enough; `seed` alone decides
    which ones, and which are train and valid. The archive is kept in `archives`, by default in the cache folder, and
    isn't downloaded again. `on_download` counts bytes, `on_progress` photos.

    Raises:
        DataError: the folder isn't empty or can't be written, or the archive can't be downloaded or is another file.
    """
    if negatives_per_bear < 1:
        raise DataError(f"{negatives_per_bear} other photos for each bear: at least 1 is needed")
    with ExitStack() as stack:
        try:
            directory = directory.resolve()
            if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
                raise DataError(f"{directory} exists already and is not an empty folder; choose another name")
            directory.parent.mkdir(parents=True, exist_ok=True)
            # Beside the folder: the last step is a renaming. Before the download: it fails early.
            folder = stack.enter_context(scratch_folder(directory.parent, directory.name))
        except OSError as error:
            raise DataError(
                f"{directory} can't be written ({error.strerror or error}); choose another folder"
            ) from error
        archive = _download(url, sha256, archives or cache_root() / "archives", on_download)
        if on_progress is not None:
            on_progress(0, 1)  # unpacking takes a while
        try:
            photos = divide(find_photos(_unpack(archive, folder / "unpacked")), seed)
            if not all(classes.get(BEAR) for classes in photos.values()):
                raise DataError(f"{archive} is not CIFAR-100: there is no bear in train and test")
            chosen = {split: choose(classes, negatives_per_bear) for split, classes in photos.items()}
            whole = folder / "whole"
            _write(chosen, whole, on_progress)
            if directory.exists():
                directory.rmdir()  # Windows wouldn't rename over it
            whole.rename(directory)
        except OSError as error:
            raise DataError(
                f"{directory} can't be written ({error.strerror or error}); make room or choose another folder"
            ) from error
    bears, others = count_photos(chosen)
    return FetchedSummary(directory, bears, others, count_photos(photos)[1] - others)


class _Bytes:
    """A progress bar for pooch, which sets `total` and updates by whole chunks."""

    def __init__(self, on_download: OnProgress | None) -> None:
        self.on_download = on_download
        self.total = self.done = 0

    def update(self, number: int) -> None:
        self.done = min(self.done + number, self.total)
        if self.on_download is not None:
            self.on_download(self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def _download(url: str, sha256: str, archives: Path, on_download: OnProgress | None) -> Path:
    """Return the archive; download it unless it is there.

    Raises:
        DataError: the server can't be reached, refuses, breaks off or gives another file, or there is no room for it.
    """
    pooch.get_logger().setLevel("WARNING")
    host, progress = urlsplit(url).hostname, _Bytes(on_download)
    downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=_CHUNK, timeout=_TIMEOUT)
    name = PurePosixPath(urlsplit(url).path).name
    try:
        return Path(pooch.retrieve(url, sha256, fname=name, path=archives, downloader=downloader))
    except RequestException as error:
        if error.response is not None:
            error.response.close()  # pooch leaves it open
            raise DataError(
                f"{host} refuses to give {url} ({error.response.status_code} {error.response.reason}): try again later"
            ) from error
        if progress.total:
            raise DataError(
                f"the connection to {host} broke off after {progress.done / 1e6:.1f} of {progress.total / 1e6:.1f} MB "
                f"({_find_reason(error)}); nothing is kept: run it again"
            ) from error
        raise DataError(f"can't reach {host}: {_find_reason(error)}; run it again with a network") from error
    except ValueError as error:  # pooch's, for a wrong hash
        raise DataError(
            f"what {url} gave is damaged or another file (its SHA-256 differs); it is deleted: run it again, or use "
            "another network"
        ) from error
    except OSError as error:
        raise DataError(
            f"the archive can't be kept in {archives} ({error.strerror or error}): make room, or set the environment "
            "variable BEARCNN_CACHE to another folder"
        ) from error


def _find_reason(error: BaseException) -> str:
    """Return the operating system's reason, from under the layers of requests and urllib3."""
    reason = ""
    cause: BaseException | None = error
    while cause is not None:
        reason = getattr(cause, "strerror", None) or reason
        cause = cause.__cause__ or cause.__context__
    return reason or type(error).__name__


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack the archive into a new folder.

    Raises:
        DataError: an entry leads out of the folder, or is neither a file nor a folder.
    """
    try:
        with tarfile.open(archive) as tar:
            # Before Python 3.12 pooch doesn't use tarfile's own filter.
            for member in tar:
                place = PurePosixPath(member.name)
                if not (member.isfile() or member.isdir()) or place.is_absolute() or ".." in place.parts:
                    raise DataError(f"{archive} has an entry that must not be unpacked, {member.name!r}; delete it")
        pooch.Untar(extract_dir=str(folder))(str(archive), "download", None)
    except tarfile.TarError as error:
        raise DataError(f"{archive} can't be unpacked: {error}; delete it, and run it again") from error
    return folder


def _write(chosen: Photos, folder: Path, on_progress: OnProgress | None) -> None:
    """Move the photos to the folders of their splits and classes."""
    total, done = sum(count_photos(chosen)), 0
    for split, classes in chosen.items():
        for name, paths in classes.items():
            place = folder / split / (name if name == BEAR else f"not_bear/{name}")
            if paths:
                place.mkdir(parents=True)
            for number, path in enumerate(paths):
                path.rename(place / f"{number:03}.png")
                done += 1
                if on_progress is not None:
                    on_progress(done, total)
