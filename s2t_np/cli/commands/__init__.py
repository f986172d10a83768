"""The sub-commands, one module for each few. `*_run` modules hold the work of a command whose arguments fill a file."""
