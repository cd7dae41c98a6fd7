"""CaT-RL with a small model on a CPU: two tasks, all controls, held-out accuracy (docs/results.md)."""
