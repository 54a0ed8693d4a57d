"""Test rigs: torture, attacks, fleet, backlog, and comparisons with other software."""
