"""The processes that do the slow work."""
