"""Recipes: YAML files of arguments; one may name another as its base and say what differs."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from transformers import HfArgumentParser

from emotionnet_hf.training.arguments import RecipeError, RunArguments

Arguments = TypeVar("Arguments", bound=RunArguments)


def parse_recipe(kind: type[Arguments], argv: Sequence[str]) -> Arguments:
    """Fill arguments from ``[recipe.yaml] [--name value ...]``; the command line wins.

    Args:
        kind: The dataclass to fill.
        argv: Words of the command line; the first may be a YAML file of names and values. Its
            line ``base: other.yaml`` names a recipe in the same folder (or by a path from there)
            whose values hold where it has none of its own.

    Returns:
        The arguments.

    Raises:
        RecipeError: A key is unknown, a value has the wrong type, the file is not YAML, or its
            bases go round in a circle.
        FileNotFoundError: There is no such recipe.
    """
    values: dict[str, Any] = {}
    if argv and not argv[0].startswith("-"):
        values, argv = _read_recipe(kind, Path(argv[0])), argv[1:]
    parser = HfArgumentParser(kind, description=kind.__doc__, allow_abbrev=False)
    for action in parser._actions:
        if action.dest != "help":
            # So that only what was really given overrides the recipe.
            action.default = argparse.SUPPRESS
    values.update(vars(parser.parse_args(list(argv))))
    return kind(**values)


def _read_recipe(
    kind: type[RunArguments], path: Path, above: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """Read a recipe and its bases, and check names and values against the dataclass."""
    values = _read_yaml(path)
    base = values.pop("base", None)
    hints = typing.get_type_hints(kind)
    _check_names(values, {f.name for f in dataclasses.fields(kind)}, path)
    own = {key: _typed(value, hints[key], f"{path}: {key}") for key, value in values.items()}
    if base is None:
        return own
    if not isinstance(base, str):
        raise RecipeError(f"{path}: base is {base!r}; it must be the name of another recipe.")
    above = (*above, path.resolve())
    if (path.parent / base).resolve() in above:
        raise RecipeError(f"{path}: base is {base}, of which it is a base itself: take one out.")
    return _read_recipe(kind, path.parent / base, above) | own


def _read_yaml(path: Path) -> dict[Any, Any]:
    """Read a YAML file of names and values."""
    if not path.is_file():
        raise FileNotFoundError(f"No recipe at {path}: the file does not exist.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} must hold names and values, one 'name: value' a line.")
    return values


def _check_names(values: dict[Any, Any], names: set[str], path: Path) -> None:
    """Raise where a key is no argument."""
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(names))}."
            raise RecipeError(f"{path}: unknown key {key!r}.{hint}")


def _typed(value: Any, hint: Any, where: str) -> Any:
    """Return the value as the type ``hint``; YAML reads ``1e-5`` as a string, for one."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value is False and "no" in options:
            value = "no"  # YAML reads a bare no as a boolean
        if value not in options:
            raise RecipeError(f"{where} is {value!r}; it must be one of {list(options)}.")
        return value
    if origin is list:
        if not isinstance(value, list):
            raise RecipeError(f"{where} is {value!r}; it must be a list.")
        return [_typed(item, options[0], where) for item in value]
    if type(None) in options:
        chosen = next(option for option in options if option is not type(None))
        return None if value is None else _typed(value, chosen, where)
    return _scalar(value, hint, where)


def _scalar(value: Any, kind: type, where: str) -> Any:
    """Return the value as bool, int, float or str, or say that it is none."""
    wrong = RecipeError(f"{where} is {value!r}; it must be of type {kind.__name__}.")
    if kind is bool or isinstance(value, bool):
        if kind is bool and isinstance(value, bool):
            return value
        raise wrong
    if kind is int and not isinstance(value, int):
        raise wrong
    if not isinstance(value, (str, int, float)):
        raise wrong
    try:
        return kind(value)
    except ValueError as error:
        raise wrong from error
