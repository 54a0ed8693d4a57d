"""k-means by faiss: the one import of the codecs that an edge node need not have."""

import numpy as np

from patchline.vision.pixels.arrays import Floats
from patchline.wire.errors import missing_extra

_SEEDS = 2**31 - 1


def k_means(vectors: Floats, count: int, *, seed: int, iterations: int) -> Floats:
    """The centres of `count` clusters, `(count, length)`; the same seed gives the same bytes.

    With no more vectors than clusters every vector is a centre, and the centres left over repeat the first.

    Args:
        vectors: `(N, length)`, contiguous.
        count: Of the clusters.
        seed: Of the first centres.
        iterations: Rounds of assigning and averaging.

    Raises:
        MisconfiguredError: faiss is not installed.
    """
    if len(vectors) <= count:
        return np.concatenate([vectors, np.repeat(vectors[:1], count - len(vectors), axis=0)])
    try:
        import faiss  # noqa: PLC0415 only fitting needs it, and the edge never fits
    except ImportError as error:
        raise missing_extra("faiss", "analytics") from error
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # sums in another order are other centres
    try:
        clustering = faiss.Kmeans(
            vectors.shape[1],
            count,
            niter=iterations,
            seed=seed % _SEEDS,
            min_points_per_centroid=1,
            max_points_per_centroid=len(vectors),
        )
        clustering.train(vectors)
    finally:
        faiss.omp_set_num_threads(threads)
    return np.asarray(clustering.centroids, dtype=np.float32)
