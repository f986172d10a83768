"""Fuzzing of everything that reads a file: damaged inputs are refused in one line, or read as other readers read them.

    mutations   one damaged copy of some bytes, decided by a seed: of any bytes, of JSON, of lines of text
    formats     the table of formats: whole files to start from, how to damage them, our reader, another reader
    readers     those readers, each from a path to what it found in the file
    requests    requests to the server as files, put to it without a socket
    judge       what became of one damaged file: refused, read, or an escape
    tally       what became of the files of a format, counted where a crash cannot lose it, and summed over campaigns
    worker      a child process that judges one after another, within limits of memory and time
    campaign    the parent: starts workers, outlives their crashes, counts, keeps every escape as a file

`python -m tools.fuzz` runs a campaign. tests/fuzz/ runs a short one of each format, and holds the reader to the files
of earlier escapes.
"""
