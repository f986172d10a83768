"""Vectors and register tiles, emitted as LLVM IR."""
