"""The job of a window, without Qt."""
