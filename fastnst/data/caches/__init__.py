"""Photographs that are decoded once: on disk, in memory, on the device that trains."""
