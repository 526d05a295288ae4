"""Records of a particle that is known; a result scored by it."""
