"""Measuring: how far a judge can be trusted, and benchmarks with the scoring of their authors."""
