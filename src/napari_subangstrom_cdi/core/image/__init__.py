"""From the TEM image to a potential on the grid of the pattern, and its outline."""
