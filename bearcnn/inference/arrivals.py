"""New photos in a folder, each given once it is whole.

A camera writes by FTP, to a card or over the network: slowly, under a final name from the start, and where the file
system reports no changes. So the folder is listed again and again, which works everywhere. inotify (and `watchdog`,
which uses it) doesn't see what another computer writes to a network drive, needs one watch per folder, of which a
small computer has few, and would have to be checked by listing anyway: after an overflow, and when a card comes back.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from threading import Event

from bearcnn.data.photos import PHOTO_SUFFIXES, is_folder, load_photo
from bearcnn.data.reading import open_photo
from bearcnn.errors import DataError, PhotoError

INTERVAL = 1.0  # s between two listings, at least
_SHARE = 4  # the pause after a listing is at least this many times as long as the listing itself

_PATIENCE = 30.0  # s without a change after which what is no whole photo is given all the same: it gets a reason

_LOOKED_AT = 2000
"""Known files whose size and time are compared in one listing: all in a small folder, in turn in a large one."""
_WAITING = 2000
"""Files that may wait for their end at a time; further ones are seen by a later listing."""
_REMEMBERED = 400_000
"""Files that are known. Beyond that number those that are gone are forgotten; one takes about 130 bytes."""

_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A new or rewritten photo that is whole."""

    path: Path
    seen: float
    """When a listing first showed it, in seconds of `time.monotonic`."""


@dataclass(slots=True)
class _Waiting:
    """A new file that isn't whole yet."""

    seen: float
    state: tuple[int, int]  # bytes, and time of the last change in ns
    changed: float


class Arrivals:
    """The photos that arrive in a folder and all below it.

    A photo is given when it is whole: it has not changed since the last listing, and all of it can be read. One that
    stays broken is given after 30 s. A rewritten photo is given again. Hidden files and folders are skipped, and
    linked folders are followed, as in `photos.find_photos`. Files and folders may vanish and come back: a photo that
    was given is not given again unless it has changed.

    Args:
        root: the folder; it must be there at first.
        existing: whether the photos that are there already count as new.
        on_change: is told in words when the folder can't be listed, when it can be again, or when it is another one.

    Raises:
        DataError: the folder isn't there or can't be listed.
    """

    def __init__(
        self, root: Path, *, existing: bool = False, on_change: Callable[[str], None] = lambda words: None
    ) -> None:
        self._root = root
        self._on_change = on_change
        self._known: dict[int, int] = {}  # hashes of path and state, which take a third of the memory
        self._recent: dict[str, None] = {}  # what may be written to once more, such as a camera's latest.jpg
        self._waiting: dict[str, _Waiting] = {}
        self._limit = _REMEMBERED
        self._turn = 0
        self._listed = 0.0
        self._trouble = ""
        self._identity = _identify(root)
        self.skipped = 0
        """Photos that were there already."""
        self.vanished = 0
        """Files that were gone before they were whole."""
        try:
            os.scandir(root).close()
            if not existing:
                self._skip_existing()
        except OSError as error:
            raise DataError(f"{root} can't be watched: {error.strerror or error}") from None

    def watch(self, stop: Event, interval: float = INTERVAL) -> Iterator[Arrival]:
        """Yield photos until `stop` is set, those of one listing in the order of their times."""
        while not stop.is_set():
            start = time.monotonic()
            for arrival in self.poll(start):
                if stop.is_set():
                    return
                yield arrival
            # A slow listing of a large folder must not keep a small computer busy.
            stop.wait(max(interval, _SHARE * (self._listed - start)))

    def poll(self, now: float) -> list[Arrival]:
        """List the folder once, `now` in seconds of a clock that never goes back, and return what has arrived."""
        self._turn += 1
        turns = 1 + len(self._known) // _LOOKED_AT
        present, trouble = 0, ""
        try:
            for path in _list_photos(self._root):
                present += 1
                if path in self._waiting or len(self._waiting) >= _WAITING:
                    continue
                key = hash(path)
                known = self._known.get(key)
                if known is not None and (key - self._turn) % turns and path not in self._recent:
                    continue
                state = _look(path)
                if state is not None and known != hash(state):
                    self._waiting[path] = _Waiting(now, state, now)
        except OSError as error:
            trouble = error.strerror or str(error)
        self._tell_changes(trouble)
        self._listed = time.monotonic()
        if present and len(self._known) > self._limit:  # not while a card is out
            self._forget_vanished()
        return [] if trouble else self._settle(now)

    def _settle(self, now: float) -> list[Arrival]:
        """Take what is whole from the waiting files."""
        arrived: list[tuple[int, str, float]] = []
        for path, waiting in list(self._waiting.items()):
            if waiting.seen == now:
                continue
            state = _look(path)
            if state is None:
                del self._waiting[path]
                self.vanished += 1
            elif state != waiting.state:
                waiting.state, waiting.changed = state, now
            elif _is_whole(path, now - waiting.changed):
                del self._waiting[path]
                self._remember(path, state)
                arrived.append((state[1], path, waiting.seen))
        return [Arrival(Path(path), seen) for _, path, seen in sorted(arrived)]

    def _remember(self, path: str, state: tuple[int, int]) -> None:
        self._known[hash(path)] = hash(state)
        self._recent.pop(path, None)
        self._recent[path] = None
        if len(self._recent) > _LOOKED_AT:
            del self._recent[next(iter(self._recent))]

    def _skip_existing(self) -> None:
        lately = time.time_ns() - 60 * 10**9
        for path in _list_photos(self._root):
            state = _look(path)
            if state is None:
                continue
            self.skipped += 1
            if state[1] > lately:  # it may be only half written
                self._remember(path, state)
            else:
                self._known[hash(path)] = hash(state)

    def _forget_vanished(self) -> None:
        try:
            present = {hash(path) for path in _list_photos(self._root)}
        except OSError:
            return
        self._known = {key: state for key, state in self._known.items() if key in present}
        self._limit = max(_REMEMBERED, 2 * len(self._known))

    def _tell_changes(self, trouble: str) -> None:
        """Say when the root is lost or back, or when another folder is in its place."""
        identity = _identify(self._root)
        if trouble != self._trouble:
            what = f"can't be listed ({trouble}); waiting for it to come back" if trouble else "is back"
            self._on_change(f"{self._root} {what}")
        elif identity != self._identity and not trouble:
            self._on_change(f"{self._root} is another folder now: was a card or drive mounted, or lost?")
        self._trouble = trouble
        self._identity = identity or self._identity


def _list_photos(root: Path) -> Iterator[str]:
    """Yield the path of every photo below a folder, in no order; raises OSError if that folder can't be listed.

    Light enough to list 200,000 names again and again: no path objects, and no look at a file itself.
    """
    seen: set[tuple[int, int] | None] = set()
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        identity = _identify(Path(folder))
        if identity in seen:  # a link back to it
            continue
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if is_folder(entry):
                        folders.append(entry.path)
                    elif os.path.splitext(entry.name)[1].lower() in PHOTO_SUFFIXES:  # noqa: PTH122 - see above
                        yield entry.path
        except OSError:
            if folder == str(root):
                raise
        seen.add(identity)


def _identify(folder: Path) -> tuple[int, int] | None:
    try:
        state = folder.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _look(path: str) -> tuple[int, int] | None:
    """Return size and time of a file; None if there is none."""
    try:
        state = os.stat(path)  # noqa: PTH116 - a Path for each of many files is slow
    except OSError:
        return None
    return (state.st_size, state.st_mtime_ns) if S_ISREG(state.st_mode) else None


def _is_whole(path: str, still: float) -> bool:
    """Check whether a file is complete that has not changed for so many seconds."""
    if still >= _PATIENCE:
        return True
    try:
        with open_photo(Path(path)) as file:
            start = file.read(8)
            file.seek(-8, os.SEEK_END)
            end = file.read(8)
    except (OSError, PhotoError):  # shorter than any photo, not readable yet, or gone
        return False
    if start.startswith(_PNG):
        return end == _PNG_END
    if start.startswith(_JPEG) and end.endswith(_JPEG_END):
        return True
    try:  # something may follow the end, and other formats have none
        load_photo(Path(path), at_least=1)
    except PhotoError:
        return False
    return True
