"""Many recordings: which ones, in what order, side by side, and resumable after an interruption."""
