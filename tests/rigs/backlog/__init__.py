"""A backlog of thousands of frames, drained on a real line."""
