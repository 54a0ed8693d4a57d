"""Nearest neighbours in a bank of vectors, under the names that people choose them by."""

from vision.neighbours.exact import ExactSearch
from vision.neighbours.indexed import GraphSearch, InvertedFileSearch, ProductQuantisedSearch
from vision.neighbours.protocol import Search
from vision.neighbours.reduced import ReducedSearch

SEARCHES: dict[str, type[Search]] = {
    "exact": ExactSearch,
    "reduced": ReducedSearch,
    "ivf": InvertedFileSearch,
    "hnsw": GraphSearch,
    "pq": ProductQuantisedSearch,
}
"""Every search by its name; only `exact` always finds the nearest."""
