"""Pixels: the array types, preprocessing and the health of a camera's picture."""
