"""Every query of every panel, run in a real Prometheus that scrapes a real line; what came back, listed and drawn."""
