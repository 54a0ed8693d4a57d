"""Settings of the tests of pure functions: a busy machine is no reason to fail."""

from hypothesis import settings

settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")
