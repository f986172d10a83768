"""Many recordings: which ones, side by side, and resumable after an interruption.

inputs         arguments and lists -> the recordings they stand for
folders        the recordings in a folder, and those it leaves out
patterns       paths that match a pattern such as rec/**/*.wav
output_names   where the results of each recording go
run            a recording -> its segments and its text
pool           several recordings at a time
notes          what a journal says of a result: of which recording, made with what
folder_output  results in files of their own
file_output    all results in one file
"""
