"""Compiling, caching, loading and calling of kernels."""
