"""Weights that ship with patchline; see MODEL_CARD.md beside them."""
