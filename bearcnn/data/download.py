"""Real photos for people with a network: the bears of CIFAR-100 (32 px) against its other classes.

fastai knows where the archive is, how to recognise it and how to unpack it. What is added here: a download that goes on
where it broke off (fastai's begins anew), a check of the whole archive (fastai's reads the first megabyte, and it
would take a half-unpacked folder for a whole one), and the choice of what stands against the bears. torch and fastai
are imported in the functions that need them, so importing this module costs nothing.

What stands against the bears: half of it are the animals most like a bear, nearest first, because they teach the
difference. The other half is spread evenly over everything else (people, trees, empty land, things), because
a network that has only ever seen bears and big cats calls nearly everything else a bear. Measured with a small network,
408 bears and 384 others, five seeds: at the threshold that finds 90 % of the bears, nearest animals alone gave false
alarms on 70 % of pictures of forests and mountains, half and half on 49 %; on other mammals 62 % and 55 %, on big cats
and wolves 21 % and 30 %.
"""

import ast
import gzip
import hashlib
import os
import tarfile
import tempfile
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from filelock import FileLock

from bearcnn.errors import DataError

Progress = Callable[[int, int], None]
Photos = dict[str, dict[str, list[Path]]]  # split -> class -> its photos

_BEAR = "bear"
_VALID_SHARE = 0.2  # of CIFAR-100's train split; its test split stays what it is

_LIKE_BEARS = (
    ("leopard", "lion", "tiger", "wolf"),
    ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    ("fox", "porcupine", "possum", "raccoon", "skunk"),
    ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    ("beaver", "dolphin", "otter", "seal", "whale"),
)
"""CIFAR-100's mammals by its own superclasses, the bear's own first: large carnivores, large omnivores and herbivores,
medium, small and aquatic mammals."""

_TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class FetchedSummary:
    """What was written."""

    directory: Path
    bears: int
    others: int
    skipped: int  # photos of other classes that the archive has beyond those wanted


def fetch_cifar100_bears(
    directory: Path,
    *,
    negatives_per_bear: int = 4,
    seed: int = 0,
    url: str | None = None,
    archives: Path | None = None,
    downloading: Progress | None = None,
    writing: Progress | None = None,
) -> FetchedSummary:
    """Make a folder {train,valid,test}/{bear,not_bear/<class>}/NNN.png of CIFAR-100's photos.

    Each split has `negatives_per_bear` other photos for each bear, as far as there are so many; which ones, and what is
    train and what is valid, depends on `seed` alone. `url` is fastai's `URLs.CIFAR_100` unless given, and `archives`
    fastai's own folder; an archive that lies there is used, so nothing is downloaded twice. `downloading` counts
    bytes, `writing` photos.

    Raises:
        DataError: the folder is not empty or can't be written, the archive can't be downloaded or isn't CIFAR-100.
    """
    if negatives_per_bear < 1:
        raise DataError(f"{negatives_per_bear} other photos for each bear: at least 1 is needed")
    directory = directory.resolve()
    try:
        if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
            raise DataError(f"{directory} exists already and is not an empty folder; choose another name")
        directory.parent.mkdir(parents=True, exist_ok=True)
        # Beside the folder, so that renaming is enough in the end; before the download, to fail early if at all.
        scratch = tempfile.TemporaryDirectory(
            prefix=f".{directory.name}-", dir=directory.parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise DataError(f"{directory} can't be written ({error.strerror or error}); choose another folder") from error
    with scratch as folder:
        url, archive = _locate(url, archives)
        _provide(url, archive, downloading)
        if writing is not None:
            writing(0, 1)  # a sign of life: unpacking takes a while
        try:
            photos = _divide(_find_photos(_unpack(url, archive, Path(folder))), seed)
            chosen = {split: _choose(classes, negatives_per_bear) for split, classes in photos.items()}
            whole = Path(folder) / "whole"
            _write(chosen, whole, writing)
            if directory.exists():
                directory.rmdir()  # Windows wouldn't rename over it
            whole.rename(directory)
        except OSError as error:
            raise DataError(
                f"{directory}, or the system's folder for temporary files, can't be written "
                f"({error.strerror or error}); make room or choose another folder"
            ) from error
    bears, others = _count(chosen)
    return FetchedSummary(directory, bears, others, _count(photos)[1] - others)


def _locate(url: str | None, archives: Path | None) -> tuple[str, Path]:
    from fastai.data.external import URLs, fastai_path

    url = url or str(URLs.CIFAR_100)
    return url, (archives or Path(fastai_path("archive"))).absolute() / PurePosixPath(urlsplit(url).path).name


def _provide(url: str, archive: Path, progress: Progress | None) -> None:
    """See to it that the whole archive lies there, downloading what is missing.

    Raises:
        DataError: it can't be downloaded or written, or what came is damaged or something else (it is then deleted).
    """
    known = _recorded(url)
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        # Names of our own: fastai writes to cifar100.tgz.part and cifar100.tgz.lock.
        with FileLock(archive.with_name(f"{archive.name}.bearcnn.lock")):
            if archive.exists() and _find_fault(archive, known) is None:
                return
            part = archive.with_name(f"{archive.name}.bearcnn.part")
            _download(url, part, known[0] if known else None, progress)
            fault = _find_fault(part, known)
            if fault is not None:
                part.unlink()
                raise DataError(f"what {url} gave {fault}; it is deleted: run it again to download it anew")
            part.replace(archive)
    except OSError as error:
        raise DataError(
            f"the archive can't be kept in {archive.parent} ({error.strerror or error}): make room, or set the "
            "environment variable FASTAI_HOME to another folder"
        ) from error


def _recorded(url: str) -> tuple[int, str] | None:
    """The archive's size, and the MD5 of its first megabyte, as fastai has them; None if it doesn't know the URL."""
    import fastai.data

    record = Path(fastai.data.__file__).with_name("download_checks.py").read_text(encoding="utf-8")
    checks: dict[str, tuple[int, str]] = ast.literal_eval(record)
    return checks.get(url)


def _download(url: str, part: Path, size: int | None, progress: Progress | None) -> None:
    """Download into `part`, from where it ends; if the server can't do that, from the beginning.

    Raises:
        DataError: the server can't be reached, refuses, breaks off, or offers a file of another size than `size`.
        OSError: `part` can't be written.
    """
    host = urlsplit(url).hostname
    done = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310 - fastai's address
    try:
        response = urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except HTTPError as error:
        error.close()
        if error.code == 416 and done:  # nothing comes after what is here: it may be whole, which the check tells
            return
        raise DataError(
            f"{host} refuses to give {url} ({error.code} {error.reason}): try again later, or update fastai, which "
            "has the address"
        ) from error
    except (OSError, HTTPException) as error:
        raise DataError(f"can't reach {host}: {_reason(error)}; run it again to continue, nothing is lost") from error
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        done = done if resumed else 0
        total = done + response.length if response.length is not None else size or 0
        if size is not None and total != size:  # a login page, say, must not take the place of what is here
            raise DataError(f"{host} offers {total:,} bytes for {url} where {size:,} are expected; try another network")
        broken: object = None
        with part.open("ab" if resumed else "wb") as file:
            while True:
                try:
                    chunk = response.read(_CHUNK)
                except (OSError, HTTPException) as error:
                    broken = _reason(error)
                    break
                if not chunk:
                    break
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, max(done, total))
            file.flush()
            os.fsync(file.fileno())
    if broken is not None or done < total:
        raise DataError(
            f"the connection to {host} broke off after {done / 1e6:.1f} of {total / 1e6:.1f} MB "
            f"({broken or 'closed by the other side'}); run it again to continue from there"
        )


def _reason(error: Exception) -> object:
    cause = getattr(error, "reason", error)  # urllib wraps what the system said
    return getattr(cause, "strerror", None) or cause or type(cause).__name__


def _find_fault(archive: Path, known: tuple[int, str] | None) -> str | None:
    """What is wrong with the archive, if anything; every byte is read."""
    if known is not None:
        with archive.open("rb") as file:
            start = hashlib.md5(file.read(1 << 20), usedforsecurity=False).hexdigest()
        if (archive.stat().st_size, start) != tuple(known):
            return "is not the archive that fastai knows (another size or checksum)"
    bears = set()
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                # What unpacks it trusts it: an older Python would follow a link or a ".." out of the folder.
                place = PurePosixPath(member.name)
                if not (member.isfile() or member.isdir()) or place.is_absolute() or ".." in place.parts:
                    return f"has an entry that must not be unpacked, {member.name!r}"
                if place.suffix == ".png" and place.parent.name == _BEAR:
                    bears |= {"train", "test"} & set(place.parts)
            while stream.read(_CHUNK):  # gzip's checksum comes at the very end
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        return f"is damaged ({error})"
    return None if bears == {"train", "test"} else "is not CIFAR-100: there is no bear in train and test"


def _unpack(url: str, archive: Path, scratch: Path) -> Path:
    """The folder that fastai unpacks the archive to: a new one below `scratch`, so never one left from before."""
    from fastai.data.external import untar_data

    with warnings.catch_warnings():
        # fastai doesn't close its configuration (ResourceWarning), and Python 3.12 and 3.13 announce that 3.14 won't
        # trust an archive any more (DeprecationWarning); this one is checked.
        warnings.simplefilter("ignore")
        # fastai's configuration takes % for the beginning of a variable.
        folder = untar_data(url, archive=str(archive.parent).replace("%", "%%"), data="data", base=str(scratch))
    return Path(folder)


def _find_photos(folder: Path) -> Photos:
    """CIFAR-100's photos in {train,test}/<superclass>/<class>; the level of the superclasses may be missing."""
    photos: Photos = {"train": defaultdict(list), "test": defaultdict(list)}
    for path in folder.rglob("*.png"):
        # The first such folder is the split: CIFAR-100 has a class "train", too.
        split = next((part for part in path.relative_to(folder).parts if part in photos), None)
        if split is not None:
            photos[split][path.parent.name].append(path)
    return photos


def _divide(photos: Photos, seed: int) -> Photos:
    """Train, valid and test, everything in an order that depends on the seed and on names alone.

    A photo's place is the hash of its name, so that which photos are taken doesn't hang on how a disk lists them.
    """

    def place(*names: str) -> bytes:
        return hashlib.blake2b("/".join((str(seed), *names)).encode()).digest()

    divided: Photos = {"train": {}, "valid": {}, "test": {}}
    for split, classes in photos.items():
        for name in sorted(classes, key=lambda name: place(split, name)):
            paths = sorted(classes[name], key=lambda path: place(split, name, path.name))
            valid = round(len(paths) * _VALID_SHARE) if split == "train" else 0
            divided[split][name] = paths[valid:]
            if split == "train":
                divided["valid"][name] = paths[:valid]
    return divided


def _choose(classes: Mapping[str, list[Path]], negatives_per_bear: int) -> dict[str, list[Path]]:
    """All bears of a split, and the first photos of the other classes, as many as `share_out` says."""
    room = {name: len(paths) for name, paths in classes.items() if name != _BEAR}
    shares = share_out(room, negatives_per_bear * len(classes[_BEAR]))
    return {name: paths if name == _BEAR else paths[: shares[name]] for name, paths in classes.items()}


def share_out(room: Mapping[str, int], total: int) -> dict[str, int]:
    """How many photos of each class to take, where `room` is how many it has: `total`, or all if there are fewer.

    Half come from the classes most like bears, each group emptied before the next one is touched; the rest is spread
    evenly over all that is left. What can't be divided evenly goes to the classes that `room` has first.
    """
    taken = Counter(dict.fromkeys(room, 0))
    for group, limit in [*((group, total - total // 2) for group in _LIKE_BEARS), (tuple(room), total)]:
        taken.update(_spread({name: room[name] - taken[name] for name in room if name in group}, limit - taken.total()))
    return dict(taken)


def _spread(room: Mapping[str, int], total: int) -> dict[str, int]:
    """Fill all alike, until nothing is left to share out or all are full."""
    taken = dict.fromkeys(room, 0)
    while total > 0 and (unfilled := [name for name in room if taken[name] < room[name]][:total]):
        share = min(total // len(unfilled), *(room[name] - taken[name] for name in unfilled))
        for name in unfilled:
            taken[name] += share
        total -= share * len(unfilled)
    return taken


def _write(chosen: Photos, folder: Path, progress: Progress | None) -> None:
    """Move the photos to where they belong."""
    total, done = sum(_count(chosen)), 0
    for split, classes in chosen.items():
        for name, paths in classes.items():
            place = folder / split / (name if name == _BEAR else f"not_bear/{name}")
            if paths:
                place.mkdir(parents=True)
            for number, path in enumerate(paths):
                path.rename(place / f"{number:03}.png")
                done += 1
                if progress is not None:
                    progress(done, total)


def _count(photos: Photos) -> tuple[int, int]:
    """How many bears, and how many others."""
    numbers = [(name == _BEAR, len(paths)) for classes in photos.values() for name, paths in classes.items()]
    return sum(number for bear, number in numbers if bear), sum(number for bear, number in numbers if not bear)
