"""Durable store-and-forward queue of a station."""
