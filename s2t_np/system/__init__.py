"""The machine below: threads, the BLAS that numpy uses, files that are written whole or not at all."""
