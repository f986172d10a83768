"""The operating system: threads, the BLAS that numpy uses, files that survive a crash, locks across a fork."""
