"""Parts of docks, and what all docks have in common."""
