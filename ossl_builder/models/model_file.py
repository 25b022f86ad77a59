"""One file of a Demucs model, read without running anything that stands in it.

Demucs' own loader imports and calls whatever class a file names, and unpickles `.th` files. Here a
file may name four classes only, with plain arguments, and weights that fit them.
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
    "ossl_builder.separator.model.FilmDemucs",
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
"""What reading a damaged or foreign file may raise, besides safetensors' own error."""


def read(path: Path) -> Any:
    """The Demucs module of a `.safetensors` or `.th` file.

    Raises:
        ValueError: the file names another class, or arguments or weights that do not fit it.
        Others of `UNREADABLE`, `safetensors.SafetensorError`: it is damaged.
    """
    package = _tensors(path) if path.suffix == ".safetensors" else _pickled(path)
    name = package["klass"]
    if name not in CLASSES:
        raise ValueError(f"it names the class {parse.shown(name)}")
    arguments, named = package["args"], package["kwargs"]
    if not isinstance(arguments, list | tuple) or not isinstance(named, dict):
        raise ValueError("its arguments are no list and no mapping")
    kind = _class(name)
    # As Demucs does it: older files hold arguments that the class no longer has.
    known = inspect.signature(kind).parameters
    values = dict(zip(known, arguments, strict=False))
    if len(arguments) > len(known) or values.keys() & named.keys():
        raise ValueError("its arguments do not fit its class")
    values |= {key: value for key, value in named.items() if key in known}
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
    # Without memory at first: the shapes tell whether the weights fit.
    with torch.device("meta"):
        wanted = kind(**values).state_dict()
    if _shapes(wanted) != _shapes(state):
        raise ValueError("its weights do not fit its class and arguments")
    model = kind(**values)
    model.load_state_dict(state)
    return model


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in state.items()}


def _tensors(path: Path) -> dict[str, Any]:
    """The package of a safetensors file, as `demucs.hf` writes it."""
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
    """JSON with fractions in it, as `demucs.hf` writes them."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return _fraction(value["numerator"], value["denominator"])
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _pickled(path: Path) -> dict[str, Any]:
    """The package of a `.th` file, with the names of classes in the place of the classes.

    Torch's restricted unpickler calls only functions of its own list and what is given here.
    """
    import torch

    allowed: list[Any] = [(name, name) for name in CLASSES]
    allowed.append((_fraction, "fractions.Fraction"))
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other versions of pickle
        package = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(package, dict):
        raise ValueError("it holds no package of Demucs")
    return package


def _fraction(numerator: Any, denominator: Any = 1) -> Fraction:
    """A fraction of small numbers; a text such as `1e999999999` would never end."""
    if isinstance(numerator, str) and re.fullmatch(r"\d{1,6}(/\d{1,6})?", numerator):
        numerator, _, below = numerator.partition("/")
        numerator, denominator = int(numerator), int(below or 1)
    for number in (numerator, denominator):
        if type(number) is not int or abs(number) > MAX_NUMBER:
            raise ValueError("a fraction is not of two small numbers")
    return Fraction(numerator, denominator)


def _check(name: str, value: Any, depth: int = 0) -> None:
    """See that an argument is a plain value, and of a size that a model may have."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int | float | Fraction):
        most = MAX_LAYERS if "depth" in name or "layers" in name else MAX_NUMBER
        # Not `> most`, which is false for NaN.
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
