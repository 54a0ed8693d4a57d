"""From light to broker: capture, encode, keep, send, and the gate that acts on the verdict."""
