"""Triggers, sources and the capture loop."""
