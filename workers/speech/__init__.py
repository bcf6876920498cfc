"""Recordings in, segments with speakers and times out."""
