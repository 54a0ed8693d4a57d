"""The reject gate: one decision per part, and the actuators that carry it out."""
