"""The values that a key of the configuration takes and the one that it has, in words, read from its type."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from bearcnn.config.sections import Section
from bearcnn.config.whole import Config
from bearcnn.registry import one_of

LIMITS = "limits"
"""The entry of a field's `json_schema_extra` for limits that only a validator knows."""


def describe_limits(key: str) -> str:
    """Return the values that a dotted key takes, such as `0 to <1` or `1 or 2`; empty where any text will do."""
    field = _find(key)
    extra = field.json_schema_extra
    if isinstance(extra, dict) and LIMITS in extra:
        return str(extra[LIMITS])
    choices = [choice for part in _parts(field.annotation) for choice in _choices(part)]
    return one_of(choices) if choices else _describe_range(field.metadata)


def describe_default(key: str) -> str:
    """Return the default of a dotted key as it is written behind an option; empty for no text."""
    value = _find(key).default
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _find(key: str) -> FieldInfo:
    section, _, name = key.partition(".")
    kind = Config.model_fields[section].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, Section)
    return kind.model_fields[name]


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _choices(annotation: Any) -> list[str]:
    """List a type's own values, or the range that is written beside it."""
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if get_origin(annotation) is Annotated:
        return [_describe_range(each.metadata) for each in get_args(annotation)[1:] if isinstance(each, FieldInfo)]
    return []


def _describe_range(metadata: list[Any]) -> str:
    limits = {
        name: value
        for limit in metadata
        for name in ("ge", "gt", "le", "lt")
        if (value := getattr(limit, name, None)) is not None
    }
    low = next((sign + _number(limits[name]) for name, sign in (("ge", ""), ("gt", ">")) if name in limits), "")
    high = next((sign + _number(limits[name]) for name, sign in (("le", ""), ("lt", "<")) if name in limits), "")
    if low and high:
        return f"{low} to {high}"
    return f"{low} or more" if low else f"up to {high}" if high else ""


def _number(value: float) -> str:
    power = int(value).bit_length() - 1
    return f"2^{power}" if power >= 20 and value == 2**power else f"{value:,}"
