"""Commissioning: from good pictures to a model and its report."""
