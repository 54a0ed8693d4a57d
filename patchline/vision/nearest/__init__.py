"""Nearest neighbours in a bank of vectors, patch embeddings, and coresets."""
