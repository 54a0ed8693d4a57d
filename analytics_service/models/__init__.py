"""Model versions in use: which artifact judges which station."""
