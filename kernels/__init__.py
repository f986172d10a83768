"""The arithmetic of s2t_np made fast: compiled twins of its functions."""
