"""Curves and numbers of a run."""
