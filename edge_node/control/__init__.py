"""Profiles, the active encoder, and the station's status."""
