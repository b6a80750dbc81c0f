"""Configurations from the command line: unknown names are refused with what comes close."""

import ast
import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from typing import Any


def close_match(what: str, name: object, known: Iterable[object]) -> str:
    """The message for a name that is not known."""
    known = [str(one) for one in known]
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"{what}: there is no {name!r}; {guess}Known: {', '.join(known)}."


def check_choices(what: str, values: Sequence[object], known: Sequence[object]) -> None:
    """Raise for the first of the values that is not known."""
    for value in values:
        if value not in known:
            raise ValueError(close_match(what, value, known))


def configured(configs: dict[str, Any], name: str, seeds: str | None, settings: Sequence[str]) -> Any:
    """One of the named configurations, with other seeds and settings.

    Args:
        configs: name -> a dataclass.
        name: which of them.
        seeds: comma-separated integers and ranges, as ``1,2,5-8``.
        settings: ``KEY=VALUE``, the value a Python literal of the kind of the one it replaces.

    Raises:
        ValueError: an unknown name or key, or a value of another kind.
    """
    check_choices("--config", [name], list(configs))
    config = configs[name]
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    changes = {}
    if seeds is not None:
        if "seeds" not in fields:
            raise ValueError("--seeds: this experiment has none.")
        changes["seeds"] = _seeds(seeds)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--set: expected KEY=VALUE and got {setting!r}.")
        check_choices("--set", [key], list(fields))
        changes[key] = _like(key, text, fields[key])
    return dataclasses.replace(config, **changes)


def _seeds(text: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            raise ValueError(
                f"--seeds: expected integers and ranges such as 1,2,5-8 and got {text!r}."
            ) from None
    if not found or len(set(found)) < len(found):
        raise ValueError(f"--seeds: expected distinct seeds and got {text!r}.")
    return tuple(found)


def _like(key: str, text: str, example: Any) -> Any:
    """The value of a literal, of the same kind as the one it replaces."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(example, tuple) and not isinstance(value, tuple):
        value = (value,)
    if not _same_kind(value, example):
        raise ValueError(f"{key}: expected a value like {example!r} and got {text!r}.")
    return value


def _same_kind(value: Any, example: Any) -> bool:
    if isinstance(example, tuple):
        return isinstance(value, tuple) and bool(value) and all(_same_kind(v, example[0]) for v in value)
    if isinstance(example, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(example)
