"""Looking inside: traces of one recording, golden files for ports, the explorer page, plots."""
