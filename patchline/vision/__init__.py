"""From pixels to an anomaly score, pure: arrays in, arrays out."""
