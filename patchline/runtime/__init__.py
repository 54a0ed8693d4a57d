"""Threads, watchdog, health endpoints, settings files and atomic files, shared by all programs."""
