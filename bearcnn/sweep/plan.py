"""Values x seeds -> trials, each a training of its own.

A sweep is paired: the same seeds under every setting. Everything random in a training follows from its seed (first
weights, order of the photos, augmentation), so that two trials with one seed differ by the setting and nothing else;
where the setting changes the network's shape, the weights can't be the same, and only the photos are. Nothing here
reads or writes a file, and nothing may import torch, fastai, matplotlib or pandas.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from bearcnn.config import Config, config_keys, load_config, make_config
from bearcnn.errors import ConfigError, SweepError

DROPOUTS: dict[str, tuple[str, ...]] = {
    "head": ("model.dropout",),
    "conv": ("model.conv_dropout",),
    "input": ("model.input_dropout",),
    "all": ("model.dropout", "model.conv_dropout", "model.input_dropout"),
}
"""Where dropout can be swept, and the keys that this means."""

DEFAULT_RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

_OTHER_PHOTOS = {"data.path", "data.positive", "data.valid_share", "data.test_share", "data.split_seed"}
_NOT_A_SETTING = {"train.seed": "use --seeds", "train.name": "it changes nothing"}


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that is varied: a name for people, the keys that take its value together, and the values."""

    name: str
    keys: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides which trials there are."""

    config: Config  # of every trial, before its setting and seed
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    sample: int | None = None  # how many cells of the grid; None for all


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting: a point of the grid."""

    labels: tuple[tuple[str, Any], ...]  # axis name and value
    settings: dict[str, Any]  # dotted key -> value

    @property
    def key(self) -> str:
        """Equal for equal settings."""
        return settings_key(self.settings)

    @property
    def label(self) -> str:
        """Short, for tables: the value alone where one thing varies."""
        if len(self.labels) == 1:
            return show_value(self.labels[0][1])
        return ", ".join(f"{name} {show_value(value)}" for name, value in self.labels)


def settings_key(settings: Mapping[str, Any]) -> str:
    """A text that is equal for equal settings, whatever the order of their keys."""
    return json.dumps(settings, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: a setting and a seed."""

    id: str
    settings: dict[str, Any]
    seed: int
    config: Config


def plan_dropout(config: Config, where: str, rates: Sequence[float], seeds: int, kept: Sequence[str] = ()) -> Plan:
    """Dropout rates in one place, or in all; the other dropouts are 0, so that rate 0 means no dropout at all.

    `kept` are keys that stay as configured all the same.

    Raises:
        SweepError: a rate that can't be, or no seed.
    """
    keys = DROPOUTS[where]
    settings = {key: 0.0 for key in DROPOUTS["all"] if key not in keys and key not in kept}
    name = "all dropouts" if where == "all" else keys[0].rpartition(".")[2]
    return make_plan(_with(config, settings), [Axis(name, keys, tuple(sorted(set(rates))))], seeds)


def plan_grid(config: Config, vary: Sequence[str], seeds: int, sample: int | None = None) -> Plan:
    """Every combination of the values of some keys, `section.key=value,value,...` each.

    Raises:
        SweepError, ConfigError: what was asked for can't be understood, or a combination can't work.
    """
    values: dict[str, list[Any]] = {}
    for text in vary:
        key, equals, listed = text.partition("=")
        key = key.strip()
        if not equals or not listed.strip():
            raise SweepError(f"--vary {text}: expected section.key=value,value, such as model.pooling=max,avg")
        known = values.setdefault(key, [])
        known += [value for value in parse_values(listed) if value not in known]
    axes = [Axis(key.rpartition(".")[2], (key,), tuple(found)) for key, found in values.items()]
    names = [axis.name for axis in axes]
    axes = [axis if names.count(axis.name) == 1 else replace(axis, name=axis.keys[0]) for axis in axes]
    return make_plan(config, axes, seeds, sample)


def make_plan(config: Config, axes: Sequence[Axis], seeds: int, sample: int | None = None) -> Plan:
    """A plan whose every setting is known to work: seeds train.seed, train.seed + 1, and so on.

    Raises:
        SweepError: a key that can't be varied, no value, or no seed.
        ConfigError: a setting that can't work.
    """
    if not axes or not all(axis.values for axis in axes):
        raise SweepError("nothing to vary: name a key with --vary section.key=value,value")
    if seeds < 1:
        raise SweepError(f"--seeds {seeds}: a sweep needs at least one seed, and five to say something")
    known = {key for key, _ in config_keys()}
    for key in (key for axis in axes for key in axis.keys):
        if key in _NOT_A_SETTING:
            raise SweepError(f"--vary {key}: that can't be varied; {_NOT_A_SETTING[key]}")
        if key in _OTHER_PHOTOS:
            raise SweepError(
                f"--vary {key}: settings are compared on the same photos; run one sweep for each of these values"
            )
        if key not in known:
            load_config(None, [f"{key}=0"])  # says what is meant, as --set does
    if not any("train.patience" in axis.keys for axis in axes):
        # Early stopping would compare trainings of different lengths, by a choice made on the validation photos.
        config = _with(config, {"train.patience": 0})
    plan = Plan(config, tuple(axes), tuple(range(config.train.seed, config.train.seed + seeds)), sample)
    problems = []
    for cell in list_cells(plan):
        try:
            _with(plan.config, cell.settings)
        except ConfigError as error:
            problems += [f"{cell.label}: {line}" for line in str(error).splitlines()]
    if problems:
        more = f"\nand {len(problems) - 5} more like these" if len(problems) > 5 else ""
        raise ConfigError("\n".join(problems[:5]) + more)
    return plan


def extend_plan(before: Plan, asked: Plan) -> Plan:
    """A plan with all values, seeds and samples of both: nothing is ever taken away from a sweep.

    Raises:
        SweepError: its trials would not be comparable with those that are there.
    """
    if [axis.keys for axis in asked.axes] != [axis.keys for axis in before.axes]:
        keys = ", ".join(key for axis in before.axes for key in axis.keys)
        raise SweepError(f"this sweep varies {keys}; for other keys start a new one, or: bearcnn sweep --resume DIR")
    if digest_config(asked.config) != digest_config(before.config):
        old, new = before.config.model_dump(mode="json"), asked.config.model_dump(mode="json")
        changed = ", ".join(
            f"{section}.{key} (was {value!r}, asked for {new[section][key]!r})"
            for section, values in old.items()
            for key, value in values.items()
            if new[section][key] != value
        )
        raise SweepError(f"the configuration differs from the sweep's: {changed}; start a new sweep")
    if asked.sample is not None and before.sample is None:
        raise SweepError("this sweep runs its whole grid; leave out --sample")
    axes = tuple(
        replace(old, values=_sorted((*old.values, *(value for value in new.values if value not in old.values))))
        for old, new in zip(before.axes, asked.axes, strict=True)
    )
    seeds = max(before.seeds, asked.seeds, key=len)  # both begin with the same
    sample = None if before.sample is None else max(before.sample, asked.sample or 0)
    return replace(before, axes=axes, seeds=seeds, sample=sample)


def list_cells(plan: Plan) -> list[Cell]:
    """All settings of the grid, the last axis changing fastest."""
    cells = []
    for values in product(*(axis.values for axis in plan.axes)):
        labels = tuple((axis.name, value) for axis, value in zip(plan.axes, values, strict=True))
        settings = {key: value for axis, value in zip(plan.axes, values, strict=True) for key in axis.keys}
        cells.append(Cell(labels, settings))
    return cells


def make_trials(plan: Plan, cells: Sequence[Cell]) -> list[Trial]:
    """The trials of some settings: seed by seed, so that a sweep broken off early has pairs to compare."""
    return [
        Trial(trial_id(cell, seed), cell.settings, seed, _with(plan.config, {**cell.settings, "train.seed": seed}))
        for seed in plan.seeds
        for cell in cells
    ]


def trial_id(cell: Cell, seed: int) -> str:
    """A name for a trial that is the same whenever the same is asked for, and can be a folder's."""
    parts = []
    for name, value in cell.labels:
        shown = show_value(value)
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", shown)
        # Two values must not become one name.
        clash = "" if slug == shown else "-" + hashlib.blake2b(shown.encode(), digest_size=3).hexdigest()
        parts.append(f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}-{slug}{clash}")
    whole = "_".join(parts)
    if len(whole) > 150:
        whole = whole[:130] + "-" + hashlib.blake2b(cell.key.encode(), digest_size=6).hexdigest()
    return f"{whole}_seed-{seed}"


def digest_config(config: Config) -> str:
    """A hash of everything that decides what a training gives."""
    content = config.model_dump(mode="json")
    content["data"]["fit"] = content["data"].pop("resize")  # as bearcnn 0.1 called it, so that its sweeps go on
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def parse_values(text: str) -> list[Any]:
    """TOML values with commas between; where that isn't TOML, words: `max,avg` needs no quotes in a shell."""
    try:
        parsed = tomllib.loads(f"values = [{text}]")
        if parsed.keys() == {"values"}:
            return list(parsed["values"])
    except tomllib.TOMLDecodeError:
        pass
    values: list[Any] = []
    for word in (word.strip() for word in text.split(",")):
        try:
            values.append(tomllib.loads(f"value = {word}")["value"])
        except tomllib.TOMLDecodeError:
            values.append(word)
    return values


def show_value(value: Any) -> str:
    """A value as a person would write it."""
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


def _sorted(values: tuple[Any, ...]) -> tuple[Any, ...]:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return tuple(sorted(values)) if numbers else values
