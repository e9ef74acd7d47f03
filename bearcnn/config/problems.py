"""pydantic's errors in plain words: the key, what was expected, what was given, and what was probably meant."""

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bearcnn.config.whole import Config, config_keys
from bearcnn.registry import nearest_hint, one_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


_SHOWN = 200
"""Characters of a wrong value that are shown."""


def explain_problems(error: ValidationError, section: str = "") -> Iterable[str]:
    """Give one line for each wrong value of each key; `section` is that of the keys if one was checked alone."""
    by_key: dict[str, list[ErrorDetails]] = {}
    for problem in error.errors(include_url=False):
        # Pydantic adds the branch of a union and the place in a list to the path; the key is enough.
        path = (section, *problem["loc"]) if section else problem["loc"]
        by_key.setdefault(".".join(str(part) for part in path[:2]), []).append(problem)
    for key, found in by_key.items():
        if found[0]["type"] == "extra_forbidden":
            yield _explain_unknown_key(key)
            continue
        deepest = max(len(problem["loc"]) for problem in found)  # the element of a list, not "no whole number"
        by_value: dict[str, list[ErrorDetails]] = {}
        for problem in found:
            if len(problem["loc"]) == deepest:
                by_value.setdefault(_show_given(key, problem), []).append(problem)
        for given, same in by_value.items():
            first, *others = dict.fromkeys(_explain_problem(problem) for problem in same)
            alternatives = "".join(f" or {other.removeprefix('expected ')}" for other in others)
            hints = "".join(nearest_hint(problem["input"], _choices(problem)) for problem in same)
            yield f"{key}: {first}{alternatives}{given}{hints}" if key else first


def _explain_unknown_key(key: str) -> str:
    keys = [known for known, _ in config_keys()]
    near = difflib.get_close_matches(key, keys if "." in key else list(Config.model_fields), n=1, cutoff=0.5)
    same_name = [known for known in keys if known.rpartition(".")[2] == key.rpartition(".")[2]]
    nearest = (same_name or near or [""])[0]
    hint = f"did you mean {nearest}?" if nearest else "`bearcnn config show` lists every key"
    return f"{key}: there is no such key; {hint}"


def _show_given(key: str, problem: "ErrorDetails") -> str:
    """Show the wrong value; nothing where our own message does."""
    given = problem["input"]
    told = problem["type"] == "value_error" and isinstance(given, str)
    shown = repr(given) if not isinstance(given, int) or abs(given) < 10**_SHOWN else "a number of many digits"
    shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
    return f" (got {shown})" if key.count(".") and isinstance(given, int | float | str | list) and not told else ""


_EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text of the pattern {pattern}",
    "tuple_type": "a list",
    "too_short": "at least {min_length} values",
    "too_long": "at most {max_length} values",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "dict_type": "a table of keys in braces",
    "model_type": "a table of keys",
}
"""The meaning of pydantic's types of errors, with the limit that each knows."""


def _explain_problem(problem: "ErrorDetails") -> str:
    limits = problem.get("ctx", {}).items()
    context = {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in limits}
    if choices := _choices(problem):
        return f"expected {one_of(choices)}"
    if problem["type"] in _EXPECTED:
        expected = "expected " + _EXPECTED[problem["type"]].format(**context)
        return expected.replace("at least 1 values", "at least one value")
    return problem["msg"].removeprefix("Value error, ")


def _choices(problem: "ErrorDetails") -> list[str]:
    """List the values of a key that has only a few; none for other problems."""
    listed = problem.get("ctx", {}).get("expected", "") if problem["type"] == "literal_error" else ""
    return [name.strip("'") for name in re.split(", | or ", listed) if name]
