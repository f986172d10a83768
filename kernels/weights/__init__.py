"""Weights in the order and the number format in which the kernels read them."""
