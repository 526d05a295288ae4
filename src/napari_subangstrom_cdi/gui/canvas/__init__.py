"""The two canvases."""
