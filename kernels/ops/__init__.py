"""One kernel for each operation of s2t_np.ops, and the matrix products they share."""
