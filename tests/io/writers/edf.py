"""EDF of the ESRF, packed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def edf_bytes(data: NDArray[Any], order: str = "<", **changed: Any) -> bytes:
    """EDF as the ESRF's SPEC writes it."""
    kind = {"uint16": "UnsignedShort", "float32": "FloatValue", "int32": "SignedInteger"}[data.dtype.name]
    keys = {
        "HeaderID": "EH:000001:000000:000000",
        "Image": 1,
        "ByteOrder": "LowByteFirst" if order == "<" else "HighByteFirst",
        "DataType": kind,
        "Dim_1": data.shape[1],
        "Dim_2": data.shape[0],
        "Size": data.nbytes,
    } | changed
    text = "{\n" + "".join(f"{key} = {value} ;\n" for key, value in keys.items() if value is not None)
    return text.encode().ljust(1022) + b"}\n" + data.astype(data.dtype.newbyteorder(order)).tobytes()


def seeds(folder: Path) -> list[Path]:
    """One image in either byte order, and a file of two."""
    data = np.arange(5 * 7, dtype="<u2").reshape(5, 7)
    files = {
        "image.edf": edf_bytes(data),
        "swapped.edf": edf_bytes(data.astype("f4"), ">"),
        "two.edf": edf_bytes(data) + edf_bytes(data, Image=2),
    }
    for name, written in files.items():
        (folder / name).write_bytes(written)
    return [folder / name for name in files]
