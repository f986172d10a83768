"""The decoder step as one compiled call."""
