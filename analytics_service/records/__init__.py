"""The service's records: outcomes, dead letters, retention."""
