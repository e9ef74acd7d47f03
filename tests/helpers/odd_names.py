"""Names and files that bite: a folder of photos with every one that this system allows."""

import os
import socket
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = [
    b"new\nline.png",
    b"carriage\rreturn.png",
    b"tab\t.png",
    b"\x1b[2J\x1b[31mred.png",
    b"\xff\xfe Latin \xe4.png",
    b"-leading.png",
    b"--model.png",
    b" spaces  .png",
    b"[red]x[/blue].png",
    b"[/].png",
    b"'quotes\".png",
    b"<script>alert(1)<script>.png",
    b"&amp;.png",
    b"%s%n%d.png",
    b"star*.png",
    b"what?[a-z].png",
    b"a,b;c.png",
    b"back\\slash.png",
    b"$(touch ran).png",
    b";touch ran.png",
    b"=1+1.png",
    "bär \u202e gnp.png".encode(),
    "\u0065\u0301.png".encode(),
    "\u00e9.png".encode(),
    b"x" * 251 + b".png",
    "ä".encode() * 125 + b"x.png",
    b"NUL.png",
    b"{}.png",
    b"a.png.png",
    b"~.png",
    b"~root.png",
    b"#.png",
    b"\x01\x02.png",
    b"\x7f.png",
]
"""Of photos that are fine."""

REASONS = {
    "gone.png": "file not found",
    "circle.png": "too many levels of symbolic links",
    "pipe.png": "not a file",
    "device.png": "not a file",
    "socket.png": "not a file",
    "empty.png": "empty file",
    "text.png": "not a picture",
}
"""Of what can't be read."""


def save_photo(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((64, 48), Image.Resampling.NEAREST).save(path, "PNG")
    return path


def make_odd_folder(root: Path, outside: Path) -> tuple[list[Path], list[Path]]:
    """Fill a folder; returns the photos that can be read and the files that can't, as they are found in it."""
    good, bad = [], []
    for number, name in enumerate(NAMES):
        for kind in ("bear", "wolf"):
            path = root / kind / os.fsdecode(name)
            try:
                good.append(save_photo(path, 2 * number + (kind == "bear")))
            except OSError:  # this file system doesn't take the name
                continue
    wolf = root / "wolf"
    good.append(save_photo(wolf / "folder.jpg" / "inside.png", 900))
    save_photo(outside / "elsewhere.png", 901)
    (wolf / "link.png").symlink_to(outside / "elsewhere.png")
    good.append(wolf / "link.png")
    save_photo(outside / "far" / "away.png", 902)
    (wolf / "far").symlink_to(outside / "far", target_is_directory=True)
    good.append(wolf / "far" / "away.png")
    (wolf / "again").symlink_to(root.absolute(), target_is_directory=True)  # a circle
    (wolf / "circle.png").symlink_to("circle.png")
    (wolf / "gone.png").symlink_to(outside / "gone.png")
    (wolf / "device.png").symlink_to("/dev/zero")
    os.mkfifo(wolf / "pipe.png")
    before = Path.cwd()
    os.chdir(wolf)  # a socket's whole path may have 107 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind("socket.png")
    finally:
        os.chdir(before)
    (wolf / "empty.png").write_bytes(b"")
    (wolf / "text.png").write_text("no picture")
    bad = [wolf / name for name in REASONS]
    return sorted(good), sorted(bad)
