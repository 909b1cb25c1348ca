"""One file for each command of ``scripts/benchmark.py``."""
