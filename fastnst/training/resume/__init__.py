"""Resuming a run: its folder, its resume files, and whether they fit."""
