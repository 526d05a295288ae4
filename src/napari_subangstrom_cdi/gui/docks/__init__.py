"""One dock a step, and the curve of the R-factor."""
