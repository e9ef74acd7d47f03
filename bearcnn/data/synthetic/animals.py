"""Animals in every pose, from a table of each species' anatomy.

An animal is a list of chains; a chain is a row of circles (x, y, radius) whose hull is drawn. The unit is the distance
from hip to shoulder; x points forward, y down, the ground is at y = 0.
"""

from dataclasses import dataclass

import numpy as np

from bearcnn.data.synthetic.painting import Color, Floats, Part, make_part

BEARS = ("brown", "black", "polar")
OTHERS = ("wolf", "deer", "fox", "boar", "rabbit", "moose")

FACING = 0.9


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
    "brown": Anatomy(
        0.80,
        (0.39, 0.40, 0.42),
        (0.19, 0.140),
        0.13,
        (0.42, 0.12),
        0.340,
        (0.22, 0.185, 0.125),
        (0.08, 0.135, 0.135),
        (0.04, 0.06, 0.6),
        hump=0.09,
        hock=0.02,
        sock=0.72,
        shag=0.2,
    ),
    "black": Anatomy(
        0.78,
        (0.40, 0.39, 0.38),
        (0.18, 0.130),
        0.12,
        (0.40, 0.16),
        0.325,
        (0.24, 0.175, 0.120),
        (0.10, 0.135, 0.135),
        (0.04, 0.06, 0.6),
        hock=0.02,
        sock=0.85,
        shag=0.24,
    ),
    "polar": Anatomy(
        0.80,
        (0.42, 0.40, 0.38),
        (0.20, 0.150),
        0.15,
        (0.52, 0.20),
        0.315,
        (0.25, 0.180, 0.130),
        (0.08, 0.125, 0.125),
        (0.04, 0.06, 0.6),
        hock=0.02,
        sock=0.92,
        shag=0.17,
    ),
    "wolf": Anatomy(
        0.72,
        (0.20, 0.19, 0.25),
        (0.10, 0.048),
        0.07,
        (0.38, 0.50),
        0.200,
        (0.28, 0.110, 0.055),
        (0.25, 0.085, 0.012),
        (0.56, 0.090, 1.0),
        hock=0.09,
        sock=0.9,
        shag=0.02,
    ),
    "deer": Anatomy(
        0.88,
        (0.22, 0.20, 0.23),
        (0.10, 0.034),
        0.0,
        (0.58, 0.90),
        0.140,
        (0.24, 0.085, 0.055),
        (0.24, 0.060, 0.015),
        (0.12, 0.050, 0.9),
        hock=0.09,
        antlers="branched",
        sock=0.8,
    ),
    "fox": Anatomy(
        0.50,
        (0.17, 0.16, 0.19),
        (0.08, 0.038),
        0.06,
        (0.27, 0.50),
        0.200,
        (0.26, 0.090, 0.028),
        (0.27, 0.100, 0.010),
        (0.72, 0.130, 0.35),
        hock=0.06,
        sock=0.4,
    ),
    "boar": Anatomy(
        0.58,
        (0.24, 0.28, 0.33),
        (0.11, 0.042),
        0.0,
        (0.34, -0.08),
        0.225,
        (0.48, 0.150, 0.095),
        (0.27, 0.095, 0.012),
        (0.28, 0.020, 1.2),
        hump=0.06,
        hock=0.04,
        sock=0.6,
    ),
    "rabbit": Anatomy(
        0.40,
        (0.34, 0.29, 0.23),
        (0.14, 0.055),
        0.14,
        (0.28, 0.75),
        0.230,
        (0.12, 0.130, 0.085),
        (0.56, 0.080, 0.045),
        (0.07, 0.090, -0.5),
        hock=0.04,
    ),
    "moose": Anatomy(
        0.98,
        (0.27, 0.28, 0.34),
        (0.12, 0.048),
        0.0,
        (0.48, 0.22),
        0.185,
        (0.42, 0.140, 0.130),
        (0.24, 0.070, 0.015),
        (0.08, 0.040, 1.0),
        hump=0.10,
        hock=0.08,
        antlers="palmate",
        sock=1.25,
    ),
}

COATS: dict[str, tuple[Color, ...]] = {
    "brown": ((112, 74, 44), (142, 98, 58), (88, 58, 38), (158, 116, 72), (126, 72, 38)),
    "black": ((48, 44, 46), (58, 52, 50), (42, 42, 48), (70, 64, 60)),
    "pale": ((212, 204, 184), (220, 216, 206), (200, 190, 164), (206, 204, 198)),
}
WEARERS = {  # of each coat: the bear, and the other species with such a coat
    "brown": ("brown", ("wolf", "deer", "fox", "boar", "rabbit", "moose")),
    "black": ("black", ("wolf", "boar", "moose", "fox")),
    "pale": ("polar", ("wolf", "deer", "fox", "rabbit")),
}


NOSE: Color = (26, 22, 22)
SNOUT: Color = (176, 128, 116)
TUSK: Color = (232, 224, 204)


def _polar(x: float, y: float, length: float, angle: float) -> tuple[float, float]:
    """Return the point `length` away at `angle` radians above the forward direction."""
    return x + length * float(np.cos(angle)), y - length * float(np.sin(angle))


def _antlers(kind: str, x: float, y: float, angle: float, tone: float, relief: float) -> list[Part]:
    """Build one antler from (x, y) at `angle`, as a beam with tines or as a palm with fingers."""
    bone: Color = (int(150 * tone), int(122 * tone), int(88 * tone))
    if kind == "palmate":
        middle, tip = _polar(x, y, 0.16, angle + 0.5), _polar(x, y, 0.42, angle + 0.15)
        parts = [make_part((x, y, 0.025), (*middle, 0.05), (*tip, 0.10), relief=relief, color=bone)]
        fingers = [(*_polar(*tip, 0.22, angle + turn), 0.018) for turn in (-0.8, -0.2, 0.4, 1.0)]
        return parts + [make_part((*tip, 0.045), finger, relief=relief, color=bone) for finger in fingers]
    middle, tip = _polar(x, y, 0.24, angle + 0.45), _polar(x, y, 0.52, angle + 0.1)
    parts = [make_part((x, y, 0.024), (*middle, 0.022), (*tip, 0.012), relief=relief, color=bone)]
    tines = ((x, y, 0.08), (*middle, 0.02), (*_polar(*middle, 0.12, angle - 0.2), 0.01))
    return parts + [
        make_part(
            (*_polar(a, b, 0.01, angle), 0.02), (*_polar(a, b, 0.18, angle - 0.65), 0.010), relief=relief, color=bone
        )
        for a, b, _ in tines
    ]


def _head(species: str, x: float, y: float, tilt: float, light: Color, rng: np.random.Generator) -> list[Part]:
    """Build a head seen from the side, its centre at (x, y), the muzzle pointing at `tilt` radians."""
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
    parts.append(make_part((*far, base), (*_polar(*far, ear, lean - 0.3), point), tone=0.7, relief=0.4))
    if a.antlers and rng.random() < 0.75:
        root = _polar(x, y, a.head * 0.8, up)
        parts += _antlers(a.antlers, *root, up - 0.25, 0.75, 0.4) + _antlers(a.antlers, *root, up + 0.25, 1.0, 0.8)
    parts.append(make_part((x, y, a.head), (*stop, face), relief=0.8))
    muzzle_color = None if species in ("boar", "moose", "rabbit") else light
    parts.append(make_part((*stop, face * 0.95), (*tip, nose), relief=0.9, color=muzzle_color))
    if species == "boar":
        tusk = _polar(*stop, length * 0.6, tilt - 0.3)
        parts.append(make_part((*tusk, 0.02), (*_polar(*tusk, 0.09, up - 0.3), 0.008), relief=1.0, color=TUSK))
    parts.append(make_part((*crown, base), (*_polar(*crown, ear, lean), point), tone=0.92, relief=1.0))
    if species in BEARS or species == "rabbit":
        inner = _polar(*crown, ear * 0.6, lean)
        parts.append(make_part((*crown, base * 0.45), (*inner, point * 0.5), tone=0.6, relief=1.0))
    parts.append(make_part((*_polar(*tip, nose * 0.75, tilt + 0.4), max(nose * 0.55, 0.036)), relief=1.0, color=NOSE))
    parts.append(make_part((*_polar(x, y, a.head * 0.62, tilt + 0.42), 0.034), relief=1.0, color=NOSE))
    return parts


def _leg(a: Anatomy, top: tuple[float, float], step: float, hind: bool, near: bool, lift: float = 0.0) -> list[Part]:
    """Build a leg from its joint at `top` to the ground, its foot `step` ahead of the joint."""
    x, y = top
    thigh, shin = a.legs
    knee = (x + step * 0.35 + (0.07 if hind else -0.02), y * 0.52)
    heel = (x + step - (a.hock if hind else 0.0), y * 0.22)
    foot = (x + step, -shin - lift)
    tone, relief = (0.96, 0.85) if near else (0.66, 0.3)
    parts = [make_part((x, y, thigh * 1.35), (*knee, (thigh + shin) / 2), (*heel, shin), tone=tone, relief=relief)]
    sole = (*foot, shin), (foot[0] + a.foot, foot[1] + shin * 0.15, shin * 0.85)
    return [*parts, make_part((*heel, shin), *sole, tone=tone * a.sock, relief=relief)]


def _tail(a: Anatomy, x: float, y: float, species: str, light: Color) -> list[Part]:
    length, radius, droop = a.tail
    middle, tip = _polar(x, y, length * 0.5, np.pi + droop), _polar(x, y, length, np.pi + droop * 0.9)
    color = light if species in ("deer", "rabbit") else None
    parts = [
        make_part((x, y, radius * 0.6), (*middle, radius), (*tip, radius * 0.55), tone=0.85, relief=0.5, color=color)
    ]
    if species == "fox":
        parts.append(
            make_part((*_polar(x, y, length * 0.85, np.pi + droop), radius * 0.7), (*tip, radius * 0.5), color=light)
        )
    return parts


def _profile(species: str, pose: str, light: Color, rng: np.random.Generator) -> list[Part]:
    """Build the animal from the side, facing right: standing, walking, head down, sitting, upright, lying, rolling."""
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
            near = [
                make_part((hip[0] + 0.05, -hip_r * 0.75, hip_r * 0.75), (*knee, thigh), tone=0.96, relief=0.75),
                make_part((*knee, shin), (knee[0] + 0.12 + a.foot, -shin, shin), tone=a.sock, relief=0.9),
            ]
        for side, tone, relief, shift in ((far, 0.66, 0.3, 0.1), (near, 0.96, 0.85, 0.0)):
            elbow = (shoulder[0] + 0.05 + shift, shoulder[1] * 0.5)
            paw = (shoulder[0] + 0.12 + shift, -shin)
            if pose == "upright":
                elbow = _polar(*shoulder, 0.32, -1.0 + shift)
                paw = _polar(*elbow, 0.26, -0.5 + 3 * shift)
            elif pose == "lying":
                elbow, paw = (shoulder[0] + shift, -shin * 1.4), (shoulder[0] + 0.42 + shift, -shin)
            top = (*shoulder, thigh * 1.2)
            side += [
                make_part(top, (*elbow, (thigh + shin) / 2), (*paw, shin), tone=tone, relief=relief),
                make_part((*paw, shin), (paw[0] + a.foot, paw[1], shin * 0.9), tone=tone * a.sock, relief=relief),
            ]
    torso = [make_part((*hip, hip_r), (*belly, belly_r), (*shoulder, shoulder_r))]
    throat = [make_part((*nape, shoulder_r * 0.72), (*head, a.head * 0.9), relief=0.7)]
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
    """Build a head seen from the front, its centre at (x, y)."""
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
        parts.append(make_part((*root, base), (*_polar(*root, ear, lean), point), tone=0.9, relief=0.8))
        parts.append(
            make_part((*root, base * 0.5), (*_polar(*root, ear * 0.6, lean), point * 0.5), tone=0.6, relief=0.8)
        )
    chin = (x, y + a.head * 0.35 + length * 0.45)
    parts.append(make_part((x, y, a.head), (x, y + a.head * 0.3, max(face * 1.1, a.head * 0.7)), relief=0.85))
    muzzle_color = None if species in ("boar", "moose", "rabbit") else light
    parts.append(
        make_part((x, y + a.head * 0.35, face * 0.9), (*chin, nose * 1.15), tone=1.12, relief=1.0, color=muzzle_color)
    )
    parts.append(make_part((chin[0], chin[1] - nose * 0.2, max(nose * 0.55, 0.03)), relief=1.0, color=NOSE))
    if species == "boar":
        parts.append(make_part((chin[0], chin[1], nose * 1.3), relief=1.0, color=SNOUT))
        for side in (-1, 1):
            parts.append(make_part((chin[0] + side * nose * 0.5, chin[1], 0.03), relief=1.0, color=NOSE))
            root = (x + side * nose * 1.5, chin[1] + 0.02)
            parts.append(
                make_part((*root, 0.03), (root[0] + side * 0.05, root[1] - 0.16, 0.012), relief=1.0, color=TUSK)
            )
    for side in (-1, 1):
        parts.append(make_part((x + side * a.head * 0.42, y - a.head * 0.05, 0.036), relief=1.0, color=NOSE))
    return parts


def _front(species: str, light: Color, rng: np.random.Generator) -> list[Part]:
    """Build the animal seen from the front, looking at the viewer."""
    a = ANATOMY[species]
    thigh, shin = a.legs
    width = a.torso[2] * 0.95
    top = -a.height - a.hump
    x, y = float(rng.uniform(-0.1, 0.1)), top - min(a.neck[0] * np.sin(max(a.neck[1], 0.0)) + a.head * 0.35, 0.6)
    parts = [
        make_part((side * width * 0.7, top * 0.5, thigh), (side * width * 0.7, -shin * 1.2, shin), tone=0.6, relief=0.3)
        for side in (-1, 1)
    ]
    parts.append(make_part((0, top + 0.02, a.torso[0] * 1.02), tone=0.85, relief=0.4))
    parts.append(make_part((0, top, width), (0, top + width * 0.5, width * 0.95), relief=0.6))
    for side in (-1, 1):
        step = float(rng.uniform(-0.05, 0.02))
        knee = (side * width * 0.62, top * 0.45, (thigh + shin) / 2)
        parts.append(
            make_part((side * width * 0.55, top, thigh), knee, (side * width * 0.6, -shin + step, shin), relief=0.75)
        )
        parts.append(
            make_part(
                (side * width * 0.6, -shin * 2 + step, shin),
                (side * width * 0.62, -shin + step, shin * 1.1),
                tone=a.sock,
                relief=0.8,
            )
        )
    parts.append(make_part((0, top, a.torso[2] * 0.7), (x, y, a.head * 0.9), relief=0.75))
    return parts + _face(species, x, y, light)


def make_body(species: str, light: Color, rng: np.random.Generator) -> list[Part]:
    """Build an animal in a random pose, as its parts from back to front."""
    poses = ["standing", "walking"] * 4 + ["front"] * 4 + ["head down"]
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
