"""Open ONNX files with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any


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
