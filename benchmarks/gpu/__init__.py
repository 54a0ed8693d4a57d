"""Pictures a second on a GPU: `python -m benchmarks.gpu` needs torch, numpy and pillow, and nothing else."""
