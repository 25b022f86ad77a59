"""Read a file of a Demucs model without running code in it.

Demucs' own loader imports and calls any class that a file names, and unpickles `.th` files. This
module allows only the classes in `CLASSES`, with plain arguments and weights that fit them.
"""

from __future__ import annotations

import importlib
import inspect
import re
import struct
import warnings
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from ossl_builder import parse

CLASSES = (
    "demucs.demucs.Demucs",
    "demucs.hdemucs.HDemucs",
    "demucs.htdemucs.HTDemucs",
    "ossl_builder.models.spleeter.Spleeter",
    "ossl_builder.separator.model.FilmUNet",
)
"""The classes that a file may name."""
MAX_NUMBER = 1_000_000
MAX_LAYERS = 64
MAX_TEXT = 200
MAX_ITEMS = 100

UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError,
    RuntimeError, TypeError, ValueError, UnpicklingError, struct.error,
)  # fmt: skip
"""Exceptions of a damaged or foreign file, besides the one of safetensors."""


def read(path: Path) -> Any:
    """Load the Demucs module of a `.safetensors` or `.th` file.

    Raises:
        ValueError: the file names another class, or its arguments or weights do not fit the class.
        Others of `UNREADABLE`, `safetensors.SafetensorError`: the file is damaged.
    """
    package = _tensors(path) if path.suffix == ".safetensors" else _pickled(path)
    name = package["klass"]
    if name not in CLASSES:
        raise ValueError(f"it names the class {parse.shown(name)}")
    arguments, keywords = package["args"], package["kwargs"]
    if not isinstance(arguments, list | tuple) or not isinstance(keywords, dict):
        raise ValueError("its arguments are no list and no mapping")
    kind = _class(name)
    # Like Demucs, ignore arguments of older files that the class no longer has.
    parameters = inspect.signature(kind).parameters
    values = dict(zip(parameters, arguments, strict=False))
    if len(arguments) > len(parameters) or values.keys() & keywords.keys():
        raise ValueError("its arguments do not fit its class")
    values |= {key: value for key, value in keywords.items() if key in parameters}
    for key, value in values.items():
        _check(key, value)
    return _built(kind, values, package["state"])


def _class(name: str) -> Any:
    module, _, class_name = name.rpartition(".")
    return getattr(importlib.import_module(module), class_name)


def _built(kind: Any, values: dict[str, Any], state: Any) -> Any:
    import torch

    if not isinstance(state, Mapping) or "__quantized" in state:
        raise ValueError("its weights are quantized, which DiffQ would have to unpack")
    # Compare the shapes before any memory is allocated.
    with torch.device("meta"):
        expected = kind(**values).state_dict()
    if _shapes(expected) != _shapes(state):
        raise ValueError("its weights do not fit its class and arguments")
    model = kind(**values)
    model.load_state_dict(state)
    return model


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in state.items()}


def _tensors(path: Path) -> dict[str, Any]:
    """Read the package of a safetensors file, in the format of `demucs.hf`."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    if "structure" in metadata:
        raise ValueError("its weights are quantized, which DiffQ would have to unpack")
    return {
        "klass": metadata["klass"],
        "args": _decoded(parse.json_value(metadata["args"])),
        "kwargs": _decoded(parse.json_value(metadata["kwargs"])),
        "state": state,
    }


def _decoded(value: Any) -> Any:
    """Decode the fractions in a JSON value, in the format of `demucs.hf`."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return _fraction(value["numerator"], value["denominator"])
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _pickled(path: Path) -> dict[str, Any]:
    """Read the package of a `.th` file, with names of classes instead of the classes.

    Torch's restricted unpickler calls only functions of its own list and those listed here.
    """
    import torch

    allowed: list[Any] = [(name, name) for name in CLASSES]
    allowed.append((_fraction, "fractions.Fraction"))
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pickle warns about other versions
        package = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(package, dict):
        raise ValueError("it holds no package of Demucs")
    return package


def _fraction(numerator: Any, denominator: Any = 1) -> Fraction:
    """Create a fraction of small integers; a text such as `1e999999999` would never return."""
    if isinstance(numerator, str) and re.fullmatch(r"\d{1,6}(/\d{1,6})?", numerator):
        numerator, _, below = numerator.partition("/")
        numerator, denominator = int(numerator), int(below or 1)
    for number in (numerator, denominator):
        if type(number) is not int or abs(number) > MAX_NUMBER:
            raise ValueError("a fraction is not of two small numbers")
    return Fraction(numerator, denominator)


def _check(name: str, value: Any, depth: int = 0) -> None:
    """Check that an argument is a plain value of a plausible size.

    Raises:
        ValueError: it is not.
    """
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int | float | Fraction):
        most = MAX_LAYERS if "depth" in name or "layers" in name else MAX_NUMBER
        # `value > most` would be false for NaN.
        if -most <= value <= most:
            return
    elif isinstance(value, str):
        if len(value) <= MAX_TEXT:
            return
    elif isinstance(value, list | tuple) and len(value) <= MAX_ITEMS and depth < 3:
        for item in value:
            _check(name, item, depth + 1)
        return
    raise ValueError(f"{parse.cut(name)} is {parse.shown(value)}")
