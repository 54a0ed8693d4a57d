"""The broker's configuration, every line with its reason."""
