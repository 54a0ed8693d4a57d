"""PatchCore here and in anomalib, picture by picture in the same run: `python -m benchmarks.anomalib_duel --help`."""
