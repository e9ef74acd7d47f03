"""Configurations from TOML files and `section.key=value` overrides, and back."""

import textwrap
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bearcnn.config.problems import explain_problems
from bearcnn.config.sections import DataConfig
from bearcnn.config.whole import Config, config_keys
from bearcnn.errors import ConfigError


def load_config(path: Path | str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read the configuration of a TOML file (or the defaults), with `section.key=value` overrides on top.

    Raises:
        ConfigError: the file can't be read, or something in it or the overrides can't work; one line for each problem.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"can't read the configuration {path}: {error.strerror or error}") from None
        except RecursionError:
            raise ConfigError(f"{path} is nested too deeply for a configuration") from None
        except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
            raise ConfigError(f"{path} is not a TOML file: {str(error).partition(';')[0]}") from None
    for override in overrides:
        _set(values, override)
    return make_config(values)


def make_config(values: dict[str, Any]) -> Config:
    """Check nested plain values, as TOML and JSON give them, and build the configuration.

    Raises:
        ConfigError: one line for each problem.
    """
    try:
        return Config.model_validate(_upgrade(values))
    except ValidationError as error:
        raise ConfigError("\n".join(dict.fromkeys(explain_problems(error)))) from None


def make_data_config(values: dict[str, Any]) -> DataConfig:
    """Check the plain values of the section data alone, and build it.

    Raises:
        ConfigError: one line for each problem.
    """
    try:
        return DataConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(dict.fromkeys(explain_problems(error, "data")))) from None


def _upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """Rename the keys of bearcnn 0.1, which its run folders and model files hold."""
    values = {section: dict(table) if isinstance(table, dict) else table for section, table in values.items()}
    data, train = values.get("data"), values.get("train")
    if isinstance(data, dict) and "fit" in data and "resize" not in data:
        data["resize"] = data.pop("fit")
    if isinstance(train, dict) and "out" in train:
        if train["out"]:
            raise ConfigError(f"train.out is not a key any more; give the folder as an option: `out` {train['out']}")
        del train["out"]
    return values


def dump_config(config: Config, explained: bool = False) -> str:
    """Write the configuration as TOML that `load_config` reads back; `explained` adds each key's meaning above it."""
    import tomlkit  # only needed where a configuration is written

    document = tomlkit.document()
    if explained:
        document.add(tomlkit.comment("Every key and its meaning; a file needs only the keys that it changes."))
        document.add(tomlkit.nl())
    explanations = dict(config_keys())
    for section, values in config.model_dump(mode="json").items():
        table = tomlkit.table()
        for key, value in values.items():
            if explained:
                for line in textwrap.wrap(explanations[f"{section}.{key}"], 78):
                    table.add(tomlkit.comment(line))
            if isinstance(value, dict):  # else its keys would become a section, and the next ones part of that
                inline = tomlkit.inline_table()
                inline.update(value)
                value = inline
            table.add(key, value)
        document.add(section, table)
    return tomlkit.dumps(document)


def _set(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *tables, name = key.strip().split(".")
    if not equals or not tables or not all((*tables, name)):
        raise ConfigError(f"{override}: expected section.key=value, such as train.lr=3e-3")
    table: Any = values
    for depth, part in enumerate(tables, start=1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            path = ".".join(tables[:depth])
            raise ConfigError(f"{path}: expected a table of keys, such as [{path}]")
    table[name] = _parse(text.strip())


def _parse(text: str) -> Any:
    """Parse a TOML value or a list without its brackets, or take the text itself: `max` needs no quotes in a shell."""
    for spelling in (text, f"[{text}]") if "," in text else (text,):
        with suppress(ValueError, RecursionError):
            parsed = tomllib.loads(f"value = {spelling}")
            if parsed.keys() == {"value"}:
                return parsed["value"]
    return text
