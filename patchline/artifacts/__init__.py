"""The file form of a model and its assets: header, fingerprint, signature, store."""
