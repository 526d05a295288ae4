"""The napari side: the only package that may import Qt or napari, and always through qtpy."""
