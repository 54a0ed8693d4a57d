"""The project's own measurements, one file a table, stamped with where and how they were made."""
