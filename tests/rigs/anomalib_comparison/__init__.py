"""PatchCore here and in anomalib in one run: `python -m tests.rigs.anomalib_comparison --help`."""
