"""EMD as Velox writes it: images (y, x, frame), with JSON beside them that is padded with NULs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
METADATA_BYTES = 60000


def metadata(
    *,
    projector: str = "1",
    operating: str = "1",
    unit: str = "1/m",
    pixel: float = 114429680.19923936,
    detector: str = "BM-Ceta",
    binning: int = 8,
    index: str = "1",
    **changed: Any,
) -> dict[str, Any]:
    """What Velox says of an image, all values as strings; two detectors, of which `index` took it."""
    custom = {
        f"Detectors[{detector}].CountsToElectrons": {"type": "float", "value": "0.5"},
        f"Detectors[{detector}].PixelValueToCameraCounts": {"type": "long", "value": "64"},
        f"Detectors[{detector}].SaturationPoint": {"type": "long", "value": "6204"},
        f"Detectors[{detector}].CombinedSubFrames": {"type": "long", "value": "4"},
    }
    told: dict[str, Any] = {
        "Core": {"MetadataDefinitionVersion": "7.9"},
        "Optics": {
            "AccelerationVoltage": "300000",
            "Defocus": "-1.5e-07",
            "OperatingMode": operating,
            "ProjectorMode": projector,
            "CameraLength": "0.378",
        },
        "Detectors": {
            "Detector-0": {"DetectorName": "HAADF", "DetectorType": "ScanningDetector", "ExposureTime": "9"},
            "Detector-1": {
                "DetectorName": "BM-Ceta",
                "DetectorType": "ImagingDetector",
                "Binning": {"width": str(binning), "height": str(binning)},
                "ExposureTime": "0.40000000000000002",
            },
        },
        "BinaryResult": {
            "DetectorIndex": index,
            "Detector": detector,
            "PixelSize": {"width": repr(pixel), "height": repr(pixel)},
            "PixelUnitX": unit,
            "PixelUnitY": unit,
        },
        "CustomProperties": custom,
    }
    return told | changed


def text_column(told: dict[str, Any] | bytes) -> Array:
    """The bytes of one frame's metadata."""
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    return np.frombuffer(text.ljust(METADATA_BYTES, b"\0"), np.uint8)


def write_velox(path: Path, *images: tuple[Array, dict[str, Any] | bytes, str], chunks: Any = None) -> list[str]:
    """Write images (y, x, frame) with their metadata and the labels of their displays; their paths come back."""
    paths = []
    with h5py.File(path, "w") as file:
        file["Version"] = np.array([json.dumps({"version": "8", "format": "Velox"})], dtype=h5py.string_dtype())
        file["Thumbnail.jpg"] = np.arange(100, dtype=np.uint8)
        for k, (data, told, label) in enumerate(images):
            folder = f"/Data/Image/{k:032x}"
            frames = data.shape[2] if data.ndim == 3 else 1
            file.create_dataset(f"{folder}/Data", data=data, chunks=chunks or (*data.shape[:2], *[1] * (data.ndim - 2)))
            file[f"{folder}/Metadata"] = np.stack([text_column(told)] * frames, axis=1)
            file[f"{folder}/FrameLookupTable"] = np.arange(frames, dtype=np.uint32)
            shown = json.dumps({"display": {"id": "a", "label": label}, "dataPath": folder})
            file[f"/Presentation/Displays/ImageDisplay/{k:032x}"] = np.array([shown], dtype=h5py.string_dtype())
            paths.append(f"{folder}/Data")
    return paths


def seeds(folder: Path) -> list[Path]:
    """Small files to begin with where inputs are made at random."""
    data = np.arange(6 * 8 * 2, dtype=np.int16).reshape(6, 8, 2)
    one, two = folder / "velox_one.emd", folder / "velox_two.emd"
    write_velox(one, (data[..., :1], metadata(), "Ceta"))
    write_velox(
        two, (data, metadata(unit="m", pixel=3e-9, projector="2"), "Ceta"), (data, metadata(), "DCFI%28Ceta%29")
    )
    return [one, two]
