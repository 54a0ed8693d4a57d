"""Image codecs: how a picture becomes bytes on a thin link, and comes back."""
