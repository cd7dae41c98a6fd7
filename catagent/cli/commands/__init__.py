"""One module a command: its options and how they reach what does the work."""
