"""Members of an ensemble in one frame, their average, and numbers to judge it by."""
