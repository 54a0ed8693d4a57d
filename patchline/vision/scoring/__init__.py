"""Anomaly maps, calibration, drift and evaluation."""
