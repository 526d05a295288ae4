"""Regions, stages, constraints, update rules and the driver of the phase retrieval."""
