"""Reconciliation: produced = judged + dropped."""
