"""patchline: inspects parts on a production line by picture."""
