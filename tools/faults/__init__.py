"""Faults, one at a time: each call of the operating system that a command makes fails once, and nothing may be lost.

    shim.c        the library that makes the n-th call of a kind fail
    shim.py       it is compiled, loaded into a process, and told what to do
    runner.py     a process that has the program loaded, and forks for each run
    processes.py  it is started and told what to run; or a process for each run, as a check
    scenarios.py  the commands, what they need, and what they leave
    serving.py    a server, and requests of which one call fails
    campaign.py   one command with one call that fails: what became of it, and what is wrong
    tally.py      every n, until a run gets through; the counts, and the file that keeps them
    kills.py      SIGKILL at calls drawn at random, again and again until a command is done
    both_ways.py  a sample in forks and in processes of their own, compared

As SQLite is tested (sqlite.org/testing.html, "Anomaly testing"). Linux with a C compiler only.
"""
