"""A simulated line: stations as real processes, a truth ledger, and the report that joins them."""
