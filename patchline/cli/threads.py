"""How many CPU threads numpy's and faiss' linear algebra may use; it has to be said before they are imported.

A setting's threads go to the backbone (ONNX Runtime, whose idle threads sleep) and to faiss and torch. numpy's products
are on one thread whatever the setting: those of a search are small, backbone and search take turns, and OpenBLAS'
second thread spins while it waits. Of the pruned search it made 44 to 65 ms of CPU time out of 12 to 23, and 150 to
230 ms out of 35 to 60 on the clock beside other work (784 patches, 16,386 rows of 384 channels, two cores).
"""

import os

NUMPY = "OPENBLAS_NUM_THREADS"
OTHERS = "OMP_NUM_THREADS"


def bound_threads(count: int) -> None:
    """Give linear algebra outside numpy as many threads as the backbone, and numpy one, unless the environment says.

    Left alone they take every core and spin while they wait. On two cores shared with a broker and stations that made
    commissioning eight times slower than one thread does (measured: 133 against 17 seconds).
    """
    os.environ.setdefault(OTHERS, str(count))
    os.environ.setdefault(NUMPY, "1")
