"""Trials with planted defects: which codec, options and input size suit a line."""
