"""The page of the configuration: every key with its default, its limits and its meaning, from the pydantic models."""

import json
from typing import Any

from bearcnn.config import Config
from bearcnn.config.limits import describe_limits
from bearcnn.config.sections import Section

INTRODUCTION = """\
# Configuration

A TOML file has a table for each section. `bearcnn train --config FILE` reads it, `--set train.lr=3e-3` changes one key,
and keys that are not named have their defaults. `bearcnn config show` prints all of them, and is a valid file itself.
`bearcnn config check FILE` finds every mistake at once. The presets in `configs/` are examples.

With a pretrained body (`model.body`), keys that are not set have the values of `configs/pretrained.toml`. With
cross-validation (`train.folds`), `data.test_share` is 0 and `train.monitor` is `last`.
"""


def render_configuration() -> str:
    """Render the page, with a heading for each section and key."""
    lines = [INTRODUCTION]
    for section, section_field in Config.model_fields.items():
        kind = section_field.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, Section)
        lines += [f"## {section} {{ #{section} }}", "", (kind.__doc__ or "").strip(), ""]
        for key, field in kind.model_fields.items():
            facts = ", ".join(
                filter(None, (f"default `{show_value(field.default)}`", describe_limits(f"{section}.{key}")))
            )
            lines += [f"### {section}.{key} {{ #{section}.{key} }}", "", f"<p class='facts' markdown>{facts}</p>", ""]
            lines += [" ".join((field.description or "").split()), ""]
    return "\n".join(lines)


def show_value(value: Any) -> str:
    """Show a value as TOML does."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
