"""Pictures a second on a GPU: `python -m patchline.bench.gpu` needs torch, numpy and pillow, and nothing else."""
