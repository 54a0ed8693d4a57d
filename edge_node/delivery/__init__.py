"""Sends outbox rows until their verdict arrives."""
