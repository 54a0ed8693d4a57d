"""What both sides agree on: messages, topics, errors, and the link that carries them."""
