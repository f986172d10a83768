"""Recordings of any length: find the speech, cut it at pauses, transcribe the pieces, join them, time their words."""
