"""`patchline bench detectors`: what every detector finds in a category, and what it costs to fit, keep and run."""
