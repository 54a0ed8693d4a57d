"""Nearest neighbours in a bank of vectors, under the names that people choose them by."""

from patchline.vision.nearest.exact import ExactSearch
from patchline.vision.nearest.indexed import GraphSearch, InvertedFileSearch, ProductQuantisedSearch
from patchline.vision.nearest.protocol import Search
from patchline.vision.nearest.reduced import ReducedSearch

SEARCHES: dict[str, type[Search]] = {
    "exact": ExactSearch,
    "reduced": ReducedSearch,
    "ivf": InvertedFileSearch,
    "hnsw": GraphSearch,
    "pq": ProductQuantisedSearch,
}
"""Every search by its name; only `exact` always finds the nearest."""
