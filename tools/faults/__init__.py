"""Faults, one at a time: each call of the operating system that a command makes fails once, and nothing may be lost.

    shim.c        the library that makes the n-th call of a kind fail
    shim.py       it is compiled, loaded into a process, and told what to do
    runner.py     a process that has the program loaded, and forks for each run
    scenarios.py  the commands, what they need, and what they leave
    serving.py    a server, and requests of which one call fails
    campaign.py   every kind, every n, until a run gets through; what became of each

As SQLite is tested (sqlite.org/testing.html, "Anomaly testing"). Linux with a C compiler only.
"""
