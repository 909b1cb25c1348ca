"""Measure trained networks against the optimisation that they replace, and against other people's code."""
