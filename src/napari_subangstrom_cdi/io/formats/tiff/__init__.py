"""TIFF, through tifffile, with what camera software wrote into its tags.

- ``file``: the format: which page is the record, and its pixels
- ``pages``: the images in a file, and how the pixels of one become counts
- ``strips``: the pixels of a packed page
- ``tags``: what TVIPS, JEOL, iTEM, DigitalMicrograph and ImageJ say of the record
- ``gel``: the square roots of Molecular Dynamics' scanners (Typhoon)
"""

from .file import FORMAT

__all__ = ["FORMAT"]
