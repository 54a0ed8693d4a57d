"""What a search that may miss the nearest loses."""

import numpy as np

from patchline.vision.nearest.exact import ExactSearch
from patchline.vision.nearest.protocol import Search
from patchline.vision.pixels.arrays import Floats


def search_loss(search: Search, exact: ExactSearch, vectors: Floats) -> dict[str, float]:
    """How often a search finds the nearest, and how much too far the rows are that it finds.

    Args:
        search: The search in question.
        exact: An exact one in the same bank.
        vectors: `(M, C)` to ask both for; with none, nothing is known.

    Returns:
        `search_recall`, the share of queries whose distance is the smallest there is; `search_mean_error` and
        `search_largest_error`, how far its distances are above the smallest, as shares of these.
    """
    if not len(vectors):
        return {}
    found, true = search.nearest(vectors)[0], exact.nearest(vectors)[0]
    missed = found > true * (1 + 1e-5)
    errors = np.where(missed, found / np.where(true > 0, true, found) - 1, 0.0)  # beside a distance of 0: all of it
    errors = np.where(missed & (true == 0), np.inf, errors)
    return {
        "search_recall": float(1 - missed.mean()),
        "search_mean_error": float(errors.mean()),
        "search_largest_error": float(errors.max()),
    }
