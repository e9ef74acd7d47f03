"""The plan of a sweep: values x seeds -> trials, each a training run of its own.

A sweep is paired: every setting runs with the same seeds. Everything random in a training run follows from its seed
(first weights, order of the photos, augmentation), so two trials with one seed differ only in the setting. Where the
setting changes the network's shape, the first weights differ as well. Nothing here reads or writes a file.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from bearcnn.bodies import NO_BODY
from bearcnn.config import Config, changed_keys, config_keys, load_config, make_config
from bearcnn.errors import ConfigError, SweepError
from bearcnn.geometry import MAX_MEGAPIXELS

DROPOUTS: dict[str, tuple[str, ...]] = {
    "head": ("model.dropout",),
    "conv": ("model.conv_dropout",),
    "input": ("model.input_dropout",),
    "all": ("model.dropout", "model.conv_dropout", "model.input_dropout"),
}
"""The places of dropout in a sweep, and the config keys of each."""

DEFAULT_RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

_OTHER_PHOTOS = {
    *("data.path", "data.positive", "data.columns", "data.valid_share", "data.test_share", "data.split_seed"),
    *("data.group", "data.detections", "data.detection_threshold"),
}
_NOT_A_SETTING = {
    "train.seed": "every setting runs with several seeds anyway; use `seeds`",
    "train.name": "it changes nothing",
    "data.tiles": "trials are scored on whole frames",
    "train.folds": "trials are compared on the validation photos",
}


@dataclass(frozen=True, slots=True)
class SweptKey:
    """One varied quantity: its name, the config keys that share its value, and the values."""

    name: str
    keys: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that determines the trials of a sweep."""

    config: Config  # of every trial, without its setting and seed
    swept: tuple[SweptKey, ...]
    seeds: tuple[int, ...]
    sample: int | None = None  # number of points of the grid; None for all


@dataclass(frozen=True, slots=True)
class GridPoint:
    """One setting: a point of the grid."""

    labels: tuple[tuple[str, Any], ...]  # name of the swept key, and value
    settings: dict[str, Any]  # dotted key -> value

    @property
    def key(self) -> str:
        """A text that is equal for equal settings."""
        return settings_key(self.settings)

    @property
    def label(self) -> str:
        """A short name for tables: the value alone where one thing varies."""
        if len(self.labels) == 1:
            return show_value(self.labels[0][1])
        return ", ".join(f"{name} {show_value(value)}" for name, value in self.labels)

    @property
    def values(self) -> str:
        """The values without their names, for tables whose heading has these."""
        return ", ".join(show_value(value) for _, value in self.labels)


def settings_key(settings: Mapping[str, Any]) -> str:
    """Return a text that is equal for equal settings, whatever the order of their keys."""
    return json.dumps(settings, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Trial:
    """One training run: a setting and a seed."""

    id: str
    settings: dict[str, Any]
    seed: int
    config: Config


def plan_dropout(config: Config, where: str, rates: Sequence[float], seeds: int, kept: Sequence[str] = ()) -> Plan:
    """Plan dropout rates in one place or in all; the other dropouts are 0: rate 0 means no dropout at all.

    `kept` are the keys that stay as configured.

    Raises:
        SweepError: there is no seed.
        ConfigError: a rate is not a share in [0, 1).
    """
    keys = DROPOUTS[where]
    settings = {key: 0.0 for key in DROPOUTS["all"] if key not in keys and key not in kept}
    name = "all dropouts" if where == "all" else keys[0].rpartition(".")[2]
    return make_plan(_with(config, settings), [SweptKey(name, keys, tuple(sorted(set(rates))))], seeds)


def parse_vary(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Parse `section.key=value,value,...`, one text per key; values of a repeated key are joined.

    Raises:
        SweepError: a text has another form.
    """
    settings: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, listed = text.partition("=")
        if not equals or not listed.strip():
            raise SweepError(f"`vary` {text}: expected section.key=value,value, such as model.pooling=max,avg")
        settings.setdefault(key.strip(), []).extend(parse_values(listed))
    return settings


def plan_grid(config: Config, settings: Mapping[str, Sequence[Any]], seeds: int, sample: int | None = None) -> Plan:
    """Plan every combination of the values of some config keys; the first value of each is the baseline's.

    Raises:
        SweepError: a key that can't be varied, no value, or no seed.
        ConfigError: a setting that can't work.
    """
    names = [key.rpartition(".")[2] for key in settings]
    swept = [
        SweptKey(name if names.count(name) == 1 else key, (key,), _distinct(settings[key]))
        for name, key in zip(names, settings, strict=True)
    ]
    return make_plan(config, swept, seeds, sample)


def make_plan(config: Config, swept: Sequence[SweptKey], seeds: int, sample: int | None = None) -> Plan:
    """Make a plan whose every setting is known to work; its seeds are train.seed, train.seed + 1, and so on.

    Raises:
        SweepError: a key that can't be varied, no value, or no seed.
        ConfigError: a setting that can't work.
    """
    if not swept or not all(each.values for each in swept):
        raise SweepError("nothing to vary: name at least one key and its values, such as model.pooling=max,avg")
    if config.train.folds:
        raise SweepError(
            f"train.folds = {config.train.folds} is for `bearcnn train` alone: trials are compared on the validation "
            "photos; set train.folds = 0"
        )
    if seeds < 1:
        raise SweepError(f"seeds = {seeds}: a sweep needs at least one seed; 5 are a good start")
    known = {key for key, _ in config_keys()}
    for key in (key for each in swept for key in each.keys):
        if key in _NOT_A_SETTING:
            raise SweepError(f"{key} can't be varied: {_NOT_A_SETTING[key]}")
        if key in _OTHER_PHOTOS:
            raise SweepError(
                f"{key} can't be varied: settings are compared on the same photos; run one sweep for each of its values"
            )
        if key not in known:
            load_config(None, [f"{key}=0"])  # raises the usual error, with the nearest valid key
    if not any("train.patience" in each.keys for each in swept):
        # Early stopping would compare training runs of different lengths, chosen on the validation photos.
        config = _with(config, {"train.patience": 0})
    plan = Plan(config, tuple(swept), tuple(range(config.train.seed, config.train.seed + seeds)), sample)
    problems = []
    for point in list_points(plan):
        try:
            _with(plan.config, point.settings)
        except ConfigError as error:
            problems += [f"{point.label}: {line}" for line in str(error).splitlines()]
    if problems:
        more = f"\nand {len(problems) - 5} more like these" if len(problems) > 5 else ""
        raise ConfigError("\n".join(problems[:5]) + more)
    return plan


def extend_plan(before: Plan, asked: Plan) -> Plan:
    """Merge two plans: all values, seeds and samples of both. Nothing is ever removed from a sweep.

    Raises:
        SweepError: the new trials would not be comparable with the finished ones.
    """
    if [each.keys for each in asked.swept] != [each.keys for each in before.swept]:
        keys = ", ".join(key for each in before.swept for key in each.keys)
        raise SweepError(f"this sweep varies {keys}; for other keys start a new one, or: bearcnn sweep --resume DIR")
    if digest_config(asked.config) != digest_config(before.config):
        changed = ", ".join(changed_keys(before.config, asked.config, word="asked for"))
        raise SweepError(f"the configuration differs from the sweep's: {changed}; start a new sweep")
    if asked.sample is not None and before.sample is None:
        raise SweepError("this sweep runs its whole grid; give no `sample`")
    swept = tuple(
        replace(old, values=_merge(old.values, new.values)) for old, new in zip(before.swept, asked.swept, strict=True)
    )
    seeds = max(before.seeds, asked.seeds, key=len)  # both begin with the same seed
    sample = None if before.sample is None else max(before.sample, asked.sample or 0)
    return replace(before, swept=swept, seeds=seeds, sample=sample)


def list_points(plan: Plan) -> list[GridPoint]:
    """List all settings of the grid, the last key changing fastest."""
    points = []
    for values in product(*(each.values for each in plan.swept)):
        labels = tuple((each.name, value) for each, value in zip(plan.swept, values, strict=True))
        settings = {key: value for each, value in zip(plan.swept, values, strict=True) for key in each.keys}
        points.append(GridPoint(labels, settings))
    return points


def make_trials(plan: Plan, points: Sequence[GridPoint]) -> list[Trial]:
    """Make the trials of some settings, seed by seed: a sweep stopped early still has pairs to compare."""
    return [
        Trial(trial_id(point, seed), point.settings, seed, _with(plan.config, {**point.settings, "train.seed": seed}))
        for seed in plan.seeds
        for point in points
    ]


def trial_id(point: GridPoint, seed: int) -> str:
    """Name a trial: equal for equal settings and seeds, and valid as a folder's name."""
    parts = []
    for name, value in point.labels:
        shown = show_value(value)
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", shown)
        # Different values must not have the same name.
        clash = "" if slug == shown else "-" + hashlib.blake2b(shown.encode(), digest_size=3).hexdigest()
        parts.append(f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}-{slug}{clash}")
    whole = "_".join(parts)
    if len(whole) > 150:
        whole = whole[:130] + "-" + hashlib.blake2b(point.key.encode(), digest_size=6).hexdigest()
    return f"{whole}_seed-{seed}"


def digest_config(config: Config) -> str:
    """Hash everything that determines the result of a training run."""
    content = config.model_dump(mode="json")
    content["data"]["fit"] = content["data"].pop("resize")  # its name in bearcnn 0.1, whose sweeps can be extended
    if content["model"]["body"] == NO_BODY:  # keys that sweeps before 0.3 don't have
        del content["model"]["body"], content["model"]["body_stage"]
    if not content["train"]["unfreeze"]:
        del content["train"]["unfreeze"], content["train"]["unfreeze_epochs"], content["train"]["unfreeze_lr"]
    if content["train"]["views"] == 2:
        del content["train"]["views"]
    if content["train"]["replicas"] == "auto":
        del content["train"]["replicas"]
    data = content["data"]
    if not data["detections"]:
        del data["detections"], data["detection_threshold"], data["crop_padding"]
    if not data["tiles"]:
        del data["tiles"]
    if data["group"] == "auto":
        del data["group"]
    if data["max_megapixels"] == MAX_MEGAPIXELS:
        del data["max_megapixels"]
    # 0 or nothing is off: sweeps before these keys existed
    for section, key in (("data", "columns"), ("data", "photos"), ("train", "min_steps"), ("train", "folds")):
        if not content[section][key]:
            del content[section][key]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def parse_values(text: str) -> list[Any]:
    """Parse TOML values separated by commas; other text is a string: `max,avg` needs no quotes in a shell."""
    try:
        parsed = tomllib.loads(f"values = [{text}]")
        if parsed.keys() == {"values"}:
            return list(parsed["values"])
    except (ValueError, RecursionError):  # no TOML, or thousands of digits or brackets
        pass
    values: list[Any] = []
    for word in (word.strip() for word in text.split(",")):
        try:
            values.append(tomllib.loads(f"value = {word}")["value"])
        except (ValueError, RecursionError):
            values.append(word)
    return values


def show_value(value: Any) -> str:
    """Format a value as a person would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return "-".join(map(show_value, value)) if isinstance(value, list | tuple) else str(value)


def _with(config: Config, settings: Mapping[str, Any]) -> Config:
    values = config.model_dump(mode="json")
    for key, value in settings.items():
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = value
    return make_config(values)


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    distinct: list[Any] = []  # not a set: some values are lists
    for value in values:
        if value not in distinct:
            distinct.append(value)
    return tuple(distinct)


def _merge(old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    """Merge values, in ascending order where they were: elsewhere the first one stays the baseline."""
    merged = _distinct((*old, *new))
    return _sorted(merged) if old == _sorted(old) else merged


def _sorted(values: tuple[Any, ...]) -> tuple[Any, ...]:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return tuple(sorted(values)) if numbers else values
