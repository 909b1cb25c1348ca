"""Optical flow, and what it steadies and measures."""
