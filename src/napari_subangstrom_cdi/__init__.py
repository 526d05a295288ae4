"""Electron diffractive imaging of single nanocrystals at sub-ångström resolution."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-subangstrom-cdi")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0"
