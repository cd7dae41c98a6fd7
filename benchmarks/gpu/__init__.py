"""CaT-RL on a GPU: whether it works there, and what it costs. See `benchmarks/gpu/README.md`."""
