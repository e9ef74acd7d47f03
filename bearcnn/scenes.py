"""The built-in data set: drawn scenes with a bear, another animal, or none, so that everything works without a download.

An animal is a list of chains; a chain is a row of circles (x, y, radius) whose hull is drawn, so one small table of
anatomy makes every species in every pose. Bears and other animals share coats, places, sizes, poses, light and
scenery, and the coat-coloured area is drawn without regard to the label (rocks and bushes fill up what an animal
lacks): only the shape tells a bear. This module must not import torch, fastai or matplotlib.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from math import hypot
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from bearcnn.errors import DataError

BEARS = ("brown", "black", "polar")
NEGATIVES = ("wolf", "deer", "fox", "boar", "rabbit", "moose", "empty")
SUBCLASSES = BEARS + NEGATIVES
SPLITS = ("train", "valid", "test")
INDEX = "scenes.jsonl"

DRAWING_VERSION = 1  # raise it whenever the same seed gives another picture: cached sets are named by it
DEFAULT_COUNT = 2400
DEFAULT_SIZE = 128
DEFAULT_SCALE = (0.35, 0.6)
DEFAULT_CLUTTER = 0.4
SCALE_LIMITS = (0.05, 0.6)

EMPTY_SHARE = 0.12  # of the negatives
SUPERSAMPLING = 2

Scale = float | tuple[float, float]
Progress = Callable[[int, int], None]
Color = tuple[int, int, int]
Box = tuple[int, int, int, int]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Circle = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn picture and what is in it; `box` is left, top, right, bottom of the animal in pixels."""

    image: Image.Image
    subclass: str
    is_bear: bool
    box: Box | None
    scale: float
    """The longer side of the animal's box as a share of the picture's side; for an empty scene, what it would be."""


@dataclass(frozen=True, slots=True)
class ScenesSummary:
    """What `write_scenes` wrote: pictures in all, by split and by subclass."""

    directory: Path
    count: int
    splits: dict[str, int]
    subclasses: dict[str, int]


FACING = 0.7
# ---- Anatomy. The unit is the distance from hip to shoulder; x points forward, y down, the ground is at y = 0.


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The proportions of a species."""

    height: float  # of the spine's centre line above the ground
    torso: tuple[float, float, float]  # radii at the hip, the belly, the shoulder
    legs: tuple[float, float]  # radii at the thigh and the shin
    foot: float  # length of the paw, 0 for a hoof
    neck: tuple[float, float]  # length and rise in radians
    head: float  # radius
    muzzle: tuple[float, float, float]  # length, radius at the face, radius at the nose
    ear: tuple[float, float, float]  # length, radius at the head, radius at the tip
    tail: tuple[float, float, float]  # length, radius, droop in radians
    hump: float = 0.0
    hock: float = 0.05  # how far the hind leg bends back
    antlers: str = ""
    sock: float = 1.0  # brightness of the lower legs, relative to the coat
    shag: float = 0.02  # how much the strands of the coat differ in brightness


ANATOMY = {
    "brown": Anatomy(0.80, (0.39, 0.40, 0.42), (0.19, 0.140), 0.13, (0.42, 0.12), 0.340, (0.22, 0.185, 0.125),
                     (0.08, 0.135, 0.135), (0.04, 0.06, 0.6), hump=0.09, hock=0.02, sock=0.72, shag=0.16),
    "black": Anatomy(0.78, (0.40, 0.39, 0.38), (0.18, 0.130), 0.12, (0.40, 0.16), 0.325, (0.24, 0.175, 0.120),
                     (0.10, 0.135, 0.135), (0.04, 0.06, 0.6), hock=0.02, sock=0.85, shag=0.16),
    "polar": Anatomy(0.80, (0.42, 0.40, 0.38), (0.20, 0.150), 0.15, (0.52, 0.20), 0.315, (0.25, 0.180, 0.130),
                     (0.08, 0.125, 0.125), (0.04, 0.06, 0.6), hock=0.02, sock=0.92, shag=0.16),
    "wolf": Anatomy(0.72, (0.20, 0.19, 0.25), (0.10, 0.048), 0.07, (0.38, 0.50), 0.200, (0.28, 0.110, 0.055),
                    (0.25, 0.085, 0.012), (0.56, 0.090, 1.0), hock=0.09, sock=0.9, shag=0.04),
    "deer": Anatomy(0.88, (0.22, 0.20, 0.23), (0.10, 0.034), 0.0, (0.58, 0.90), 0.140, (0.24, 0.085, 0.055),
                    (0.24, 0.060, 0.015), (0.12, 0.050, 0.9), hock=0.09, antlers="branched", sock=0.8),
    "fox": Anatomy(0.50, (0.17, 0.16, 0.19), (0.08, 0.038), 0.06, (0.27, 0.50), 0.200, (0.26, 0.090, 0.028),
                   (0.27, 0.100, 0.010), (0.72, 0.130, 0.35), hock=0.06, sock=0.4, shag=0.03),
    "boar": Anatomy(0.58, (0.26, 0.30, 0.35), (0.12, 0.045), 0.0, (0.34, -0.08), 0.235, (0.46, 0.160, 0.085),
                    (0.24, 0.085, 0.012), (0.28, 0.020, 1.2), hump=0.06, hock=0.04, sock=0.7, shag=0.04),
    "rabbit": Anatomy(0.40, (0.34, 0.29, 0.23), (0.14, 0.055), 0.14, (0.28, 0.75), 0.230, (0.12, 0.130, 0.085),
                      (0.56, 0.080, 0.045), (0.07, 0.090, -0.5), hock=0.04),
    "moose": Anatomy(0.98, (0.27, 0.28, 0.34), (0.12, 0.048), 0.0, (0.48, 0.22), 0.185, (0.42, 0.140, 0.130),
                     (0.24, 0.070, 0.015), (0.08, 0.040, 1.0), hump=0.10, hock=0.08, antlers="palmate", sock=1.25,
                     shag=0.03),
}  # fmt: skip

COATS: dict[str, tuple[Color, ...]] = {
    "brown": ((112, 74, 44), (142, 98, 58), (88, 58, 38), (158, 116, 72), (126, 72, 38)),
    "black": ((48, 44, 46), (58, 52, 50), (42, 42, 48), (70, 64, 60)),
    "pale": ((212, 204, 184), (220, 216, 206), (200, 190, 164), (206, 204, 198)),
}
WEARERS = {  # of each coat: the bear, and the others whose kind has such a coat too
    "brown": ("brown", ("wolf", "deer", "fox", "boar", "rabbit", "moose")),
    "black": ("black", ("wolf", "boar", "moose", "fox")),
    "pale": ("polar", ("wolf", "deer", "fox", "rabbit")),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One chain of circles, how bright it is beside the coat, its height towards the viewer, its colour if not the coat's."""

    chain: Floats  # (circles, 3): x, y, radius
    tone: float = 1.0
    relief: float = 0.6
    color: Color | None = None


NOSE: Color = (26, 22, 22)
TUSK: Color = (232, 224, 204)


def _polar(x: float, y: float, length: float, angle: float) -> tuple[float, float]:
    """The point `length` away at `angle` radians above the forward direction."""
    return x + length * float(np.cos(angle)), y - length * float(np.sin(angle))


def _part(*circles: Circle, tone: float = 1.0, relief: float = 0.6, color: Color | None = None) -> Part:
    return Part(np.array(circles, dtype=np.float64), tone, relief, color)


def _antlers(kind: str, x: float, y: float, angle: float, tone: float, relief: float) -> list[Part]:
    """One antler growing from (x, y) at `angle`, as a beam with tines or as a palm with fingers."""
    bone: Color = (int(150 * tone), int(122 * tone), int(88 * tone))
    if kind == "palmate":
        middle, tip = _polar(x, y, 0.16, angle + 0.5), _polar(x, y, 0.42, angle + 0.15)
        parts = [_part((x, y, 0.025), (*middle, 0.05), (*tip, 0.10), relief=relief, color=bone)]
        fingers = [(*_polar(*tip, 0.22, angle + turn), 0.018) for turn in (-0.8, -0.2, 0.4, 1.0)]
        return parts + [_part((*tip, 0.045), finger, relief=relief, color=bone) for finger in fingers]
    middle, tip = _polar(x, y, 0.24, angle + 0.45), _polar(x, y, 0.52, angle + 0.1)
    parts = [_part((x, y, 0.024), (*middle, 0.022), (*tip, 0.012), relief=relief, color=bone)]
    tines = ((x, y, 0.08), (*middle, 0.02), (*_polar(*middle, 0.12, angle - 0.2), 0.01))
    return parts + [
        _part((*_polar(a, b, 0.01, angle), 0.02), (*_polar(a, b, 0.18, angle - 0.65), 0.010), relief=relief, color=bone)
        for a, b, _ in tines
    ]


def _head(species: str, x: float, y: float, tilt: float, light: Color, rng: np.random.Generator) -> list[Part]:
    """A head seen from the side, its centre at (x, y), the muzzle pointing at `tilt` radians."""
    a = ANATOMY[species]
    length, face, nose = a.muzzle
    ear, base, point = a.ear
    up = tilt + np.pi / 2
    stop = _polar(x, y, a.head * 0.75, tilt - 0.25)
    tip = _polar(*stop, length, tilt - 0.08)
    crown = _polar(x, y, a.head * 0.85, up + 0.45)
    lean = up + (0.9 if species == "rabbit" else 0.35 if a.foot else 1.1)
    parts = []
    far = _polar(x, y, a.head * 0.88, up - 0.05)
    parts.append(_part((*far, base), (*_polar(*far, ear, lean - 0.3), point), tone=0.7, relief=0.4))
    if a.antlers and rng.random() < 0.75:
        root = _polar(x, y, a.head * 0.8, up)
        parts += _antlers(a.antlers, *root, up - 0.25, 0.75, 0.4) + _antlers(a.antlers, *root, up + 0.25, 1.0, 0.8)
    parts.append(_part((x, y, a.head), (*stop, face), relief=0.8))
    muzzle_color = None if species in ("boar", "moose", "rabbit") else light
    parts.append(_part((*stop, face * 0.95), (*tip, nose), relief=0.9, color=muzzle_color))
    if species == "boar":
        tusk = _polar(*stop, length * 0.6, tilt - 0.3)
        parts.append(_part((*tusk, 0.02), (*_polar(*tusk, 0.09, up - 0.3), 0.008), relief=1.0, color=TUSK))
    parts.append(_part((*crown, base), (*_polar(*crown, ear, lean), point), tone=0.92, relief=1.0))
    if species in BEARS or species == "rabbit":
        inner = _polar(*crown, ear * 0.6, lean)
        parts.append(_part((*crown, base * 0.45), (*inner, point * 0.5), tone=0.6, relief=1.0))
    parts.append(_part((*_polar(*tip, nose * 0.75, tilt + 0.4), max(nose * 0.55, 0.036)), relief=1.0, color=NOSE))
    parts.append(_part((*_polar(x, y, a.head * 0.62, tilt + 0.42), 0.034), relief=1.0, color=NOSE))
    return parts


def _leg(a: Anatomy, top: tuple[float, float], step: float, hind: bool, near: bool, lift: float = 0.0) -> list[Part]:
    """A leg from its joint at `top` to the ground, its foot `step` ahead of the joint."""
    x, y = top
    thigh, shin = a.legs
    knee = (x + step * 0.35 + (0.07 if hind else -0.02), y * 0.52)
    heel = (x + step - (a.hock if hind else 0.0), y * 0.22)
    foot = (x + step, -shin - lift)
    tone, relief = (0.96, 0.85) if near else (0.66, 0.3)
    parts = [_part((x, y, thigh * 1.35), (*knee, (thigh + shin) / 2), (*heel, shin), tone=tone, relief=relief)]
    sole = (*foot, shin), (foot[0] + a.foot, foot[1] + shin * 0.15, shin * 0.85)
    return [*parts, _part((*heel, shin), *sole, tone=tone * a.sock, relief=relief)]


def _tail(a: Anatomy, x: float, y: float, species: str, light: Color) -> list[Part]:
    length, radius, droop = a.tail
    middle, tip = _polar(x, y, length * 0.5, np.pi + droop), _polar(x, y, length, np.pi + droop * 0.9)
    color = light if species in ("deer", "rabbit") else None
    parts = [_part((x, y, radius * 0.6), (*middle, radius), (*tip, radius * 0.55), tone=0.85, relief=0.5, color=color)]
    if species == "fox":
        parts.append(
            _part((*_polar(x, y, length * 0.85, np.pi + droop), radius * 0.7), (*tip, radius * 0.5), color=light)
        )
    return parts


def _profile(species: str, pose: str, light: Color, rng: np.random.Generator) -> list[Part]:
    """The animal seen from the side, facing right: standing, walking, head down, sitting, upright, lying or rolling."""
    a = ANATOMY[species]
    hip_r, belly_r, shoulder_r = a.torso
    neck, rise = a.neck
    rise += float(rng.uniform(-0.15, 0.25))
    tilt = float(rng.uniform(-0.35, 0.1))
    stride = float(rng.uniform(0.12, 0.26)) if pose == "walking" else float(rng.uniform(0.0, 0.07))
    height = a.height * (0.8 if pose == "rolling" else 1.0)
    hip, shoulder = (0.0, -height), (0.8, -height - a.hump)
    if pose == "sitting":
        lean = float(rng.uniform(0.75, 1.05))
        hip = (0.0, -hip_r * 0.95)
        shoulder = _polar(*hip, 0.8, lean)
    elif pose == "upright":
        lean = float(rng.uniform(1.3, 1.55))
        hip = (0.0, -max(a.height * 0.75, hip_r))
        shoulder = _polar(*hip, 0.85, lean)
    elif pose == "lying":
        hip, shoulder = (0.0, -hip_r * 0.92), (0.8, -shoulder_r * 0.95)
    belly = (hip[0] * 0.5 + shoulder[0] * 0.5, hip[1] * 0.5 + shoulder[1] * 0.5 + 0.02)
    if pose == "head down":
        rise, tilt = -0.55 - 0.25 * a.height, -1.0 + float(rng.uniform(-0.2, 0.2))
        neck = max(neck, (height + a.hump - a.head - a.muzzle[0] * 0.8) / np.sin(-rise) * 0.85)
    elif pose in ("sitting", "upright"):
        rise = max(rise, 0.75)
    nape = _polar(*shoulder, shoulder_r * 0.45, rise)
    head = _polar(*nape, neck, rise)

    far, near = [], []
    if pose in ("standing", "walking", "head down", "rolling"):
        swing = -stride if rng.random() < 0.5 else stride
        lift = 0.04 if pose == "walking" else 0.0
        legs = ((hip, True, False, swing, 0.0), (shoulder, False, False, -swing, lift))
        far = [part for top, hind, _, step, up in legs for part in _leg(a, top, step, hind, False, up)]
        legs = ((hip, True, True, -swing, lift), (shoulder, False, True, swing, 0.0))
        near = [part for top, hind, _, step, up in legs for part in _leg(a, top, step, hind, True, up)]
    else:
        thigh, shin = a.legs
        if pose == "upright":
            far, near = _leg(a, hip, 0.14, True, False), _leg(a, hip, -0.02, True, True)
        else:
            knee = (hip[0] + 0.30, -shin - thigh * 0.6)
            near = [_part((hip[0] + 0.05, -hip_r * 0.75, hip_r * 0.75), (*knee, thigh), tone=0.96, relief=0.75),
                    _part((*knee, shin), (knee[0] + 0.12 + a.foot, -shin, shin), tone=a.sock, relief=0.9)]  # fmt: skip
        for side, tone, relief, shift in ((far, 0.66, 0.3, 0.1), (near, 0.96, 0.85, 0.0)):
            elbow = (shoulder[0] + 0.05 + shift, shoulder[1] * 0.5)
            paw = (shoulder[0] + 0.12 + shift, -shin)
            if pose == "upright":
                elbow = _polar(*shoulder, 0.32, -1.0 + shift)
                paw = _polar(*elbow, 0.26, -0.5 + 3 * shift)
            elif pose == "lying":
                elbow, paw = (shoulder[0] + shift, -shin * 1.4), (shoulder[0] + 0.42 + shift, -shin)
            top = (*shoulder, thigh * 1.2)
            side += [_part(top, (*elbow, (thigh + shin) / 2), (*paw, shin), tone=tone, relief=relief),
                     _part((*paw, shin), (paw[0] + a.foot, paw[1], shin * 0.9), tone=tone * a.sock, relief=relief)]  # fmt: skip
    torso = [_part((*hip, hip_r), (*belly, belly_r), (*shoulder, shoulder_r))]
    throat = [_part((*nape, shoulder_r * 0.72), (*head, a.head * 0.9), relief=0.7)]
    rear = _polar(*hip, hip_r * 0.85, np.pi - 0.35 if pose not in ("sitting", "upright") else np.pi + 0.7)
    looking = rng.random() < FACING
    skull = _face(species, *head, light) if looking else _head(species, *head, tilt, light, rng)
    parts = [*far, *_tail(a, *rear, species, light), *torso, *throat, *near, *skull]
    if pose == "rolling":
        turn = np.pi + float(rng.uniform(-0.35, 0.35))
        parts = [Part(_turned(part.chain, turn), part.tone, part.relief, part.color) for part in parts]
    return parts


def _turned(chain: Floats, angle: float) -> Floats:
    x, y, radius = chain.T
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x - sin * y, sin * x + cos * y, radius], axis=1)


def _face(species: str, x: float, y: float, light: Color) -> list[Part]:
    """A head seen from the front, its centre at (x, y)."""
    a = ANATOMY[species]
    length, face, nose = a.muzzle
    ear, base, point = a.ear
    parts: list[Part] = []
    for side in (-1, 1):
        spread = np.pi / 2 - side * (0.75 if species in BEARS else 0.3 if species == "rabbit" else 0.6)
        lean = np.pi / 2 - side * (0.15 if species == "rabbit" else 1.25 if a.antlers else 0.5)
        if a.antlers:
            parts += _antlers(
                a.antlers, *_polar(x, y, a.head * 0.8, np.pi / 2 - side * 0.4), np.pi / 2 - side * 0.75, 1.0, 0.9
            )
        root = _polar(x, y, a.head * 0.9, spread)
        parts.append(_part((*root, base), (*_polar(*root, ear, lean), point), tone=0.9, relief=0.8))
        parts.append(_part((*root, base * 0.5), (*_polar(*root, ear * 0.6, lean), point * 0.5), tone=0.6, relief=0.8))
    chin = (x, y + a.head * 0.35 + length * 0.45)
    parts.append(_part((x, y, a.head), (x, y + a.head * 0.3, max(face * 1.1, a.head * 0.7)), relief=0.85))
    muzzle_color = None if species in ("boar", "moose", "rabbit") else light
    parts.append(
        _part((x, y + a.head * 0.35, face * 0.9), (*chin, nose * 1.15), tone=1.12, relief=1.0, color=muzzle_color)
    )
    parts.append(_part((chin[0], chin[1] - nose * 0.2, max(nose * 0.55, 0.03)), relief=1.0, color=NOSE))
    for side in (-1, 1):
        parts.append(_part((x + side * a.head * 0.42, y - a.head * 0.05, 0.036), relief=1.0, color=NOSE))
    return parts


def _front(species: str, light: Color, rng: np.random.Generator) -> list[Part]:
    """The animal seen from the front, looking at the viewer."""
    a = ANATOMY[species]
    thigh, shin = a.legs
    width = a.torso[2] * 0.95
    top = -a.height - a.hump
    x, y = float(rng.uniform(-0.1, 0.1)), top - min(a.neck[0] * np.sin(max(a.neck[1], 0.0)) + a.head * 0.35, 0.6)
    parts = [
        _part((side * width * 0.7, top * 0.5, thigh), (side * width * 0.7, -shin * 1.2, shin), tone=0.6, relief=0.3)
        for side in (-1, 1)
    ]
    parts.append(_part((0, top + 0.02, a.torso[0] * 1.02), tone=0.85, relief=0.4))
    parts.append(_part((0, top, width), (0, top + width * 0.5, width * 0.95), relief=0.6))
    for side in (-1, 1):
        step = float(rng.uniform(-0.05, 0.02))
        knee = (side * width * 0.62, top * 0.45, (thigh + shin) / 2)
        parts.append(
            _part((side * width * 0.55, top, thigh), knee, (side * width * 0.6, -shin + step, shin), relief=0.75)
        )
        parts.append(_part((side * width * 0.6, -shin * 2 + step, shin), (side * width * 0.62, -shin + step, shin * 1.1),
                           tone=a.sock, relief=0.8))  # fmt: skip
    parts.append(_part((0, top, a.torso[2] * 0.7), (x, y, a.head * 0.9), relief=0.75))
    return parts + _face(species, x, y, light)


def _body(species: str, light: Color, rng: np.random.Generator) -> list[Part]:
    """An animal in a random pose, as its parts from back to front."""
    poses = ["standing", "walking", "head down"] * 3 + ["front"] * 6 + ["lying"]
    if ANATOMY[species].foot:
        poses += ["sitting", "rolling"]
    if species in (*BEARS, "rabbit"):
        poses.append("upright")
    pose = poses[rng.integers(len(poses))]
    if pose == "front":
        return _front(species, light, rng)
    parts = _profile(species, pose, light, rng)
    turn = float(rng.uniform(-0.06, 0.06))
    mirror = np.array([rng.choice((-1.0, 1.0)), 1.0, 1.0])
    return [Part(_turned(part.chain, turn) * mirror, part.tone, part.relief, part.color) for part in parts]


# ---- Painting. Everything is drawn on a canvas of SUPERSAMPLING times the size and shrunk at the end.


def _bytes(pixels: Floats32) -> NDArray[np.uint8]:
    return np.clip(pixels, 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Parts at their size on the canvas: an image of part numbers, 0 where there is nothing."""

    numbers: Image.Image
    parts: list[Part]
    width: int
    height: int
    shag: float

    @property
    def mask(self) -> Image.Image:
        """255 where there is a part."""
        return self.numbers.point([0] + [255] * 255)

    @property
    def area(self) -> int:
        """How many pixels the parts cover."""
        return self.width * self.height - self.numbers.histogram()[0]


def _stamp(parts: list[Part], span: float, shag: float = 0.0) -> Stamp:
    """The parts drawn so that the longer side of all of them together is `span` pixels."""
    circles = np.concatenate([part.chain for part in parts])
    low = (circles[:, :2] - circles[:, 2:]).min(axis=0)
    high = (circles[:, :2] + circles[:, 2:]).max(axis=0)
    zoom = (span - 1) / float((high - low).max())
    width, height = np.ceil((high - low) * zoom + 1).astype(int).tolist()
    numbers = Image.new("L", (width, height))
    draw = ImageDraw.Draw(numbers)
    for number, part in enumerate(parts, start=1):
        points = ((part.chain - (*low, 0.0)) * zoom).tolist()
        for x, y, r in points:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=number)
        for first, second in pairwise(points):
            draw.polygon(_hull(*first, *second), fill=number)
    return Stamp(numbers, parts, width, height, shag)


def _hull(x0: float, y0: float, r0: float, x1: float, y1: float, r1: float) -> list[float]:
    """The quadrilateral between two circles, along their common tangents."""
    length = max(hypot(x1 - x0, y1 - y0), 1e-6)
    along = min(max((r0 - r1) / length, -1.0), 1.0)
    across = (1.0 - along * along) ** 0.5
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    ax, ay = along * ux - across * uy, along * uy + across * ux
    bx, by = along * ux + across * uy, along * uy - across * ux
    return [x0 + r0 * ax, y0 + r0 * ay, x1 + r1 * ax, y1 + r1 * ay,
            x1 + r1 * bx, y1 + r1 * by, x0 + r0 * bx, y0 + r0 * by]  # fmt: skip


def _press(canvas: Image.Image, stamp: Stamp, corner: tuple[int, int], coat: Color, rng: np.random.Generator) -> None:
    """Paste a stamp onto the canvas in the colour of a coat, furry, lit from above, with a shadow on the ground."""
    left, top = corner
    bottom = top + stamp.height
    thick = max(stamp.width // 8, 2)
    ground = (left - thick // 2, bottom - thick, left + stamp.width + thick // 2, bottom + thick // 2)
    shadow = Image.new("L", (ground[2] - ground[0], ground[3] - ground[1]))
    ImageDraw.Draw(shadow).ellipse((0, 0, shadow.width - 1, shadow.height - 1), fill=150)
    canvas.paste(canvas.crop(ground).point(DARKER), ground, shadow)

    colors = np.zeros((len(stamp.parts) + 1, 3), dtype=np.float32)
    colors[1:] = [np.multiply(part.color or coat, part.tone) for part in stamp.parts]
    relief = [0] + [int(80 + 175 * part.relief) for part in stamp.parts] + [0] * (255 - len(stamp.parts))
    numbers = np.asarray(stamp.numbers)
    height = stamp.numbers.point(relief)
    bumps = np.zeros(numbers.shape, dtype=np.float32)
    span = max(stamp.numbers.size)
    for blur, strength in ((span * 0.012, 0.35), (span * 0.05, 0.9)):
        soft = np.asarray(height.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32)
        slope = soft[2:, 1:-1] - soft[:-2, 1:-1] + 0.5 * (soft[1:-1, 2:] - soft[1:-1, :-2])
        bumps[1:-1, 1:-1] += (strength * blur / 255) * slope
    if stamp.shag:
        cells = rng.normal(0.0, stamp.shag, (12, 40)).astype(np.float32)
        grain = np.asarray(Image.fromarray(cells).resize(numbers.shape[::-1], Image.Resampling.BICUBIC))
    else:
        bumps = np.round(bumps * 6) / 6  # facets of stone, not fur
        grain = rng.normal(0.0, 0.08, numbers.shape).astype(np.float32)
    light = 1.0 + np.clip(bumps, -0.45, 0.3) + grain
    pixels = colors[numbers] * light[:, :, None] + 12 * np.clip(bumps, 0, 1)[:, :, None]
    canvas.paste(Image.fromarray(_bytes(pixels)), corner, stamp.mask)


DARKER = [int(value * 0.55) for value in range(256)] * 3


# ---- Places: season, light, and what stands around.

SEASONS: dict[str, dict[str, tuple[Color, ...]]] = {
    "summer": {
        "sky": ((92, 146, 208), (188, 214, 234)),
        "far": ((112, 138, 146), (86, 116, 98)),
        "ground": ((122, 142, 78), (92, 116, 56)),
        "leaves": ((48, 82, 46), (66, 104, 50), (86, 112, 52), (38, 66, 44)),
    },
    "autumn": {
        "sky": ((128, 158, 190), (220, 218, 206)),
        "far": ((138, 128, 120), (120, 104, 76)),
        "ground": ((158, 130, 80), (122, 92, 54)),
        "leaves": ((170, 104, 40), (138, 78, 40), (188, 146, 60), (60, 76, 46), (104, 72, 46)),
    },
    "winter": {
        "sky": ((150, 172, 198), (220, 226, 232)),
        "far": ((176, 190, 204), (128, 146, 156)),
        "ground": ((226, 232, 238), (206, 214, 224)),
        "leaves": ((52, 72, 64), (66, 84, 76), (196, 206, 214), (92, 88, 84)),
    },
    "barren": {
        "sky": ((140, 168, 192), (214, 214, 206)),
        "far": ((130, 132, 140), (112, 108, 104)),
        "ground": ((150, 140, 120), (116, 108, 94)),
        "leaves": ((94, 98, 66), (112, 104, 72), (76, 78, 58), (130, 116, 84)),
    },
}
SEASON_ODDS = {  # the coat, not the species, leans to a season: polar bears and snow hares live in the same snow
    "brown": (0.40, 0.25, 0.15, 0.20),
    "black": (0.40, 0.25, 0.15, 0.20),
    "pale": (0.12, 0.13, 0.55, 0.20),
}
LIGHTS = ("day", "overcast", "dusk", "infrared", "fog")
LIGHT_ODDS = (0.48, 0.18, 0.12, 0.12, 0.10)


def _near(color: Color, rng: np.random.Generator, spread: float = 0.12) -> Color:
    """A colour like this one, a little brighter or darker and a little off in hue."""
    red, green, blue = (
        (np.array(color) * rng.normal(1.0, spread) * rng.normal(1.0, spread / 4, 3)).clip(0, 255).astype(int).tolist()
    )
    return red, green, blue


def _backdrop(side: int, horizon: int, season: str, light: str, rng: np.random.Generator) -> Image.Image:
    """Sky, far ridges, ground, now and then water."""
    tints = SEASONS[season]
    sky = [_near(color, rng) for color in tints["sky"]]
    if light == "dusk":
        sky = [_near((104, 110, 158), rng), _near((250, 200, 140), rng)]
    ground = [_near(color, rng) for color in tints["ground"]]
    column = np.concatenate([
        np.linspace(sky[0], sky[1], horizon, dtype=np.float32),
        np.linspace(ground[0], ground[1], side - horizon, dtype=np.float32),
    ])  # fmt: skip
    pixels = np.repeat(column[:, None, :], side, axis=1)
    for cells, strength in ((5, 14.0), (24, 10.0)):  # clouds and patches of ground
        blobs = Image.fromarray(rng.normal(0.0, strength, (cells * 2, cells)).astype(np.float32))
        pixels += np.asarray(blobs.resize((side, side), Image.Resampling.BICUBIC))[:, :, None]
    pixels[horizon:] += rng.normal(0.0, 7.0, (side - horizon, side, 1)).astype(np.float32)
    canvas = Image.fromarray(_bytes(pixels))
    draw = ImageDraw.Draw(canvas)
    across = np.linspace(0, side, 33)
    for depth, color in enumerate(tints["far"]):
        waves = rng.uniform(0, 6.3, 3)
        crest = sum(
            np.sin(across / side * turns + phase) / turns for turns, phase in zip((5, 11, 29), waves, strict=True)
        )
        tops = horizon - side * (0.10 - 0.05 * depth) * (0.6 + 2.0 * crest).clip(0.1)
        tops[::2] -= side * 0.03 * depth * rng.random(17)  # the nearer ridge is a tree line
        outline = [(0, horizon + 1), *zip(across.tolist(), tops.tolist(), strict=True), (side, horizon + 1)]
        draw.polygon(outline, fill=_near(color, rng, 0.06))
    if rng.random() < 0.25:
        top = horizon + int((side - horizon) * rng.uniform(0.0, 0.3))
        bottom = top + int((side - horizon) * rng.uniform(0.15, 0.35))
        water = _near((120, 150, 176), rng)
        draw.polygon(
            [
                (0, top),
                (side, top + rng.integers(-6, 7)),
                (side, bottom),
                (side // 2, bottom + rng.integers(-8, 9)),
                (0, bottom),
            ],
            fill=water,
        )
        for y in rng.integers(top, bottom, 14).tolist():
            x = int(rng.integers(-side // 8, side))
            draw.line((x, y, x + int(rng.integers(side // 16, side // 4)), y), fill=_near(water, rng, 0.08), width=1)
    return canvas


def _conifer(
    draw: ImageDraw.ImageDraw, x: float, y: float, tall: float, color: Color, snowy: bool, rng: np.random.Generator
) -> None:
    wide = tall * float(rng.uniform(0.18, 0.26))
    draw.rectangle((x - tall * 0.025, y - tall * 0.15, x + tall * 0.025, y), fill=(70, 52, 40))
    dark = (int(color[0] * 0.7), int(color[1] * 0.7), int(color[2] * 0.72))
    tiers = 4
    for tier in range(tiers):
        low = y - tall * (0.10 + 0.22 * tier)
        peak = low - tall * 0.34
        half = wide * (1 - 0.2 * tier)
        draw.polygon([(x - half, low), (x, peak), (x + half, low), (x, low + tall * 0.03)], fill=color)
        draw.polygon(
            [(x - half, low), (x - half * 0.1, peak + tall * 0.1), (x - half * 0.1, low + tall * 0.03)], fill=dark
        )
        if snowy:
            draw.polygon([(x + half * 0.9, low), (x, peak), (x + half * 0.25, low - tall * 0.08)], fill=(226, 232, 238))


def _trunk(draw: ImageDraw.ImageDraw, x: float, y: float, wide: float, rng: np.random.Generator) -> None:
    """A tree whose crown is out of the picture."""
    bark = _near(((96, 76, 60), (112, 104, 98), (206, 204, 196))[rng.integers(3)], rng)
    lean = float(rng.normal(0.0, 0.04)) * y
    for share, tone in ((1.0, 0.72), (0.6, 1.0), (0.2, 1.14)):
        fill = (min(int(bark[0] * tone), 255), min(int(bark[1] * tone), 255), min(int(bark[2] * tone), 255))
        right = x - wide / 2 + wide * share
        draw.polygon(
            [(x - wide * 0.6, y), (x + lean - wide / 2, -2), (right + lean, -2), (right + wide * 0.1 * share, y)],
            fill=fill,
        )
    for _ in range(6):
        knot, start = float(rng.uniform(0, y)), x + lean * 0.5 + float(rng.uniform(-0.4, 0.1)) * wide
        draw.line((start, knot, start + wide * 0.35, knot + 1), fill=(58, 48, 42), width=max(int(wide * 0.08), 1))


def _crown(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    tall: float,
    color: Color,
    rng: np.random.Generator,
    stem: float = 0.45,
) -> None:
    """A leafy tree, or a bush where the stem is 0."""
    if stem:
        draw.line((x, y, x, y - tall * 0.6), fill=(84, 64, 48), width=max(int(tall * 0.06), 1))
    blob = tall * (1 - stem) * 0.36
    for tone in (0.75, 0.75, 0.9, 0.9, 1.0, 1.0, 1.15):
        cx = x + float(rng.uniform(-1.0, 1.0)) * blob * 1.2
        cy = y - tall * stem - blob * float(rng.uniform(0.6, 1.1)) - (tone - 0.75) * blob * 2.2
        r = blob * float(rng.uniform(0.6, 0.95))
        fill = (min(int(color[0] * tone), 255), min(int(color[1] * tone), 255), min(int(color[2] * tone), 255))
        draw.ellipse((cx - r, cy - r * 0.85, cx + r, cy + r * 0.85), fill=fill)


def _tuft(draw: ImageDraw.ImageDraw, x: float, y: float, tall: float, color: Color, rng: np.random.Generator) -> None:
    for tip in rng.uniform(-0.6, 0.6, 5).tolist():
        draw.line(
            (x + tip * tall * 0.3, y, x + tip * tall, y - tall * (1.1 - abs(tip))),
            fill=color,
            width=max(int(tall * 0.09), 1),
        )


def _lump(rng: np.random.Generator) -> list[Part]:
    """A boulder, a stump, a log or a mound: what a bear at second glance is not."""
    kind = rng.integers(4)
    if kind == 0:
        lean = float(rng.uniform(-0.15, 0.15))
        top = (lean, -float(rng.uniform(0.5, 1.3)), 0.24)
        return [
            _part((-0.3, -0.08, 0.1), (0.3, -0.08, 0.1), tone=0.7, relief=0.4),
            _part((0, -0.25, 0.3), top),
            _part((*top[:2], 0.17), tone=1.2, relief=0.9),
        ]
    if kind == 1:
        thick = float(rng.uniform(0.12, 0.25))
        return [_part((0, -thick, thick), (1.2, -thick, thick * 0.8)), _part((0, -thick, thick * 0.7), tone=1.2, relief=0.9),
                _part((0.5, -thick, 0.06), (0.7, -thick * 2.6, 0.04), tone=0.8)]  # fmt: skip
    parts = []
    for _ in range(int(rng.integers(2, 5))):
        r0, r1 = rng.uniform(0.14, 0.4, 2).tolist()
        x = float(rng.uniform(0, 0.8))
        tone, relief = float(rng.uniform(0.7, 1.1)), float(rng.uniform(0.3, 1.0))
        parts.append(
            _part(
                (x, -r0 * 0.9, r0),
                (x + float(rng.uniform(-0.3, 0.5)), -r1 * float(rng.uniform(0.9, 1.8)), r1),
                tone=tone,
                relief=relief,
            )
        )
    return parts


def _grade(pixels: Floats32, light: str, season: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The light and the weather of the day over (side, side, 3) pixels, and what a camera adds."""
    side = len(pixels)
    row = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    if light in ("overcast", "infrared"):
        grey = pixels @ np.array([0.3, 0.59, 0.11], dtype=np.float32)
        share = 1.0 if light == "infrared" else 0.5
        pixels = pixels * (1 - share) + share * grey[:, :, None]
    if light == "dusk":
        pixels = pixels * np.array([0.80, 0.68, 0.64], dtype=np.float32) + np.array([10, 4, 14], dtype=np.float32)
    elif light == "infrared":
        reach = np.hypot(row[:, :, 0] - 0.55, row[:, 0, 0][None] - 0.5)
        pixels = pixels * (1.0 - 0.6 * reach[:, :, None]) * 0.9 + 14
    elif light == "fog":
        veil = float(rng.uniform(0.3, 0.6)) * (1.0 - 0.6 * row)
        pixels = pixels * (1 - veil) + veil * np.array([204, 208, 212], dtype=np.float32)
    contrast, brightness = float(rng.uniform(0.88, 1.12)), float(rng.uniform(-12, 12))
    noise = rng.standard_normal(pixels.shape[:2], dtype=np.float32)[:, :, None] * (4.5 if light == "infrared" else 2.5)
    return _bytes((pixels - 110) * contrast + 110 + brightness + noise)


def _check(size: int, bear_scale: Scale, clutter: float, seed: int) -> tuple[float, float]:
    """The lowest and highest scale, when everything asked for can be drawn.

    Raises:
        DataError: a number out of its range.
    """
    low, high = (bear_scale, bear_scale) if isinstance(bear_scale, (int, float)) else bear_scale
    if not 16 <= size <= 1024:
        raise DataError(f"size {size}: pictures are drawn from 16 to 1024 pixels a side; choose one in between")
    if not SCALE_LIMITS[0] <= low <= high <= SCALE_LIMITS[1]:
        limits = f"{SCALE_LIMITS[0]} to {SCALE_LIMITS[1]}"
        raise DataError(
            f"bear scale {low}-{high}: an animal can take {limits} of the picture's side, the smaller first"
        )
    if not 0 <= clutter <= 1:
        raise DataError(f"clutter {clutter}: choose a number from 0 (an open field) to 1 (a thicket)")
    if seed < 0:
        raise DataError(f"seed {seed}: choose 0 or a positive whole number")
    return low, high


def draw_scene(
    seed: int, index: int, *, size: int = DEFAULT_SIZE, is_bear: bool, bear_scale: Scale = DEFAULT_SCALE,
    clutter: float = DEFAULT_CLUTTER,
) -> Scene:  # fmt: skip
    """Picture number `index` of the set that `seed` names, `size` pixels a side; the same arguments give the same pixels.

    `bear_scale` is the longer side of the animal, bear or not, as a share of the picture's side, or a range of it;
    `clutter` from 0 to 1 is how much stands around and in front of it. Place and light depend on seed and index alone.

    Raises:
        DataError: a number out of its range.
    """
    low, high = _check(size, bear_scale, clutter, seed)
    place, body, paint, camera = np.random.default_rng([seed, index]).spawn(4)
    coat_name = ("brown", "black", "pale")[place.integers(3)]
    season = str(place.choice(tuple(SEASONS), p=SEASON_ODDS[coat_name]))
    light = str(place.choice(LIGHTS, p=LIGHT_ODDS))
    coats = COATS[coat_name]
    coat = _near(coats[place.integers(len(coats))], place, 0.08)
    scale = float(place.uniform(low, high))
    side = size * SUPERSAMPLING
    reach = scale * side
    horizon = int(side * place.uniform(0.22, 0.5))
    spot = (float(place.uniform(0, side)), horizon + (side - horizon) * float(place.uniform(0.3 + scale, 0.97)))
    coat_area = reach * reach * float(place.uniform(0.25, 0.50))

    bear, others = WEARERS[coat_name]
    subclass = bear if is_bear else "empty" if body.random() < EMPTY_SHARE else str(body.choice(others))
    animal = None
    if subclass != "empty":
        pale = _near((int(coat[0] * 0.5 + 112), int(coat[1] * 0.5 + 106), int(coat[2] * 0.5 + 94)), body, 0.05)
        animal = _stamp(_body(subclass, pale, body), reach, ANATOMY[subclass].shag)
        coat_area -= animal.area

    canvas = _backdrop(side, horizon, season, light, place)
    _scatter(canvas, horizon, season, clutter, place)
    for nth in range(4):
        if coat_area < (0.04 * reach) ** 2 * 4:
            break
        lump = _lump(paint)
        share = 1.0 if nth == 3 else float(paint.uniform(0.4, 1.0))
        trial = _stamp(lump, reach * 0.5)
        wide = 0.5 * reach * (coat_area * share / trial.area) ** 0.5
        lump_stamp = _stamp(lump, min(max(wide, 4.0), side * 0.6))
        coat_area -= lump_stamp.area
        x, y = spot
        if animal or nth:
            x = max(paint.uniform(0, side, 4).tolist(), key=lambda there: abs(there - spot[0]))
            y = horizon + (side - horizon) * float(paint.uniform(0.3, 0.96))
        _press(
            canvas,
            lump_stamp,
            (int(x - lump_stamp.width / 2), int(y - lump_stamp.height)),
            _near(coat, paint, 0.08),
            paint,
        )
    box = None
    if animal:
        left = min(max(int(spot[0] - animal.width / 2), 0), side - animal.width)
        top = min(max(int(spot[1] - animal.height), 0), side - animal.height)
        _press(canvas, animal, (left, top), coat, paint)
        edges = animal.numbers.getbbox()
        assert edges is not None
        box = ((left + edges[0]) // SUPERSAMPLING, (top + edges[1]) // SUPERSAMPLING,
               -(-(left + edges[2]) // SUPERSAMPLING), -(-(top + edges[3]) // SUPERSAMPLING))  # fmt: skip
    _overgrow(canvas, spot, reach, season, clutter, camera)
    pixels = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32)
    image = Image.fromarray(_grade(pixels, light, season, camera))
    return Scene(image, subclass, is_bear, box, scale)


def _scatter(canvas: Image.Image, horizon: int, season: str, clutter: float, rng: np.random.Generator) -> None:
    """Trees, bushes and grass on the ground, the farther ones first."""
    side = canvas.width
    draw = ImageDraw.Draw(canvas)
    leaves = SEASONS[season]["leaves"]
    count = 2 + int(rng.poisson(clutter * 16))
    for depth in np.sort(rng.random(count) ** 2).tolist():
        x, y = float(rng.uniform(0, side)), horizon + (side - horizon) * depth * 0.7
        tall = side * (0.14 + 0.5 * depth) * float(rng.uniform(0.7, 1.3))
        color = _near(leaves[rng.integers(len(leaves))], rng)
        kind = rng.random()
        if season == "barren" or kind < 0.3:
            _crown(draw, x, y, tall * 0.35, color, rng, stem=0.0)
        elif kind < 0.65:
            _conifer(draw, x, y, tall, color, season == "winter", rng)
        elif kind < 0.85:
            _crown(draw, x, y, tall, color, rng)
        else:
            _trunk(draw, x, y, tall * 0.09, rng)
    for depth in np.sort(rng.random(30)).tolist():
        y = horizon + (side - horizon) * depth
        color = _near(SEASONS[season]["ground"][1], rng, 0.15)
        _tuft(draw, float(rng.uniform(0, side)), y, side * (0.01 + 0.035 * depth), color, rng)


def _overgrow(canvas: Image.Image, spot: tuple[float, float], reach: float, season: str, clutter: float,
              rng: np.random.Generator) -> None:  # fmt: skip
    """What stands nearer than the animal and hides some of it, and falling snow."""
    side = canvas.width
    draw = ImageDraw.Draw(canvas)
    leaves = SEASONS[season]["leaves"]
    if rng.random() < 0.6 * clutter:
        _trunk(
            draw,
            spot[0] + float(rng.uniform(-0.5, 0.5)) * reach,
            spot[1] + 0.08 * reach,
            reach * float(rng.uniform(0.08, 0.16)),
            rng,
        )
    for _ in range(int(rng.poisson(clutter * 5))):
        x, y = spot[0] + float(rng.uniform(-0.8, 0.8)) * reach, spot[1] + float(rng.uniform(0.02, 0.15)) * reach
        color = _near(leaves[rng.integers(len(leaves))], rng)
        if rng.random() < 0.5:
            _crown(draw, x, y, reach * float(rng.uniform(0.15, 0.3)), color, rng, stem=0.0)
        else:
            _tuft(draw, x, y, reach * float(rng.uniform(0.12, 0.25)), color, rng)
    for x in np.arange(0, side, side / 24).tolist():
        _tuft(
            draw,
            x + float(rng.uniform(0, 8)),
            side,
            side * float(rng.uniform(0.02, 0.06)),
            _near(SEASONS[season]["ground"][1], rng, 0.2),
            rng,
        )
    if season == "winter" and rng.random() < 0.4:
        for x, y, r in (rng.random((60, 3)) * (side, side, side * 0.008) + (0, 0, side * 0.003)).tolist():
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(240, 243, 248))
