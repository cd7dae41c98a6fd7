"""The same task in each peer: `python FILE BASE IN_FLIGHT n|one`, reading in.jsonl and writing out.jsonl.

Each runs in the virtual environment of its peer, so it imports nothing of this project.
"""
