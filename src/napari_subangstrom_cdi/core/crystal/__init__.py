"""Crystals, what is cut from them, and how they scatter."""
