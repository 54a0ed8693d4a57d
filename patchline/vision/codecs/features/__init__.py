"""Feature codecs: how feature maps become bytes on a thin link, and come back."""
