"""Trials with planted defects: which codec, input size and options of a detector suit a line."""
