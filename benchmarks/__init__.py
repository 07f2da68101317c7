"""Measurements: scripts here, results in benchmarks/results/."""
