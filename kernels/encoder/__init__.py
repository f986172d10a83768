"""The encoder as one compiled call."""
