"""Formats of images and patterns, one a file."""
