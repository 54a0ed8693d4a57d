"""How many CPU threads numpy's and faiss' linear algebra may use; it has to be said before they are imported."""

import os

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def bound_threads(count: int) -> None:
    """Give linear algebra as many threads as the backbone, unless the environment says how many.

    Left alone it takes every core and spins while it waits. On two cores shared with a broker and stations that made
    commissioning eight times slower than one thread does (measured: 133 against 17 seconds).
    """
    for variable in VARIABLES:
        os.environ.setdefault(variable, str(count))
