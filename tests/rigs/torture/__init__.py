"""Fault torture: real lines, real faults at seeded moments, and the books after every round."""
