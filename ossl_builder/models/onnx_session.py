"""Open ONNX files with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError


def open_onnx(path: Path) -> Any:
    """Return a session on one thread, so that the result does not depend on the number of cores.

    Raises:
        ImportError: ONNX Runtime is not installed.
        ValueError: the file is not a valid ONNX file.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (
        errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf,
        errors.NoSuchFile, errors.NotImplemented, errors.RuntimeException,
    ) as error:  # fmt: skip
        raise ValueError(f"ONNX Runtime: {error}") from error


def open_published(path: Path, label: str) -> Any:
    """Return a session of a network whose weights are published in a package.

    Args:
        path: its ONNX file.
        label: the network's name in error messages.

    Raises:
        OsslError: `not_installed`, `model_invalid`.
    """
    try:
        return open_onnx(path)
    except ImportError as error:
        raise OsslError(
            "not_installed",
            f"{label} needs ONNX Runtime, which is not installed.",
            "Run `pip install 'ossl-builder[onnx]'`.",
        ) from error
    except ValueError as error:
        raise OsslError(
            "model_invalid",
            f"The weights of {label} cannot be loaded ({error}).",
            f"Delete {path.parent} and run the command again.",
        ) from error
