"""Detectors whose every step stays on one device (torch extra), from what the detectors of numpy have learnt."""
