"""Encoders: from pixels to payload."""
