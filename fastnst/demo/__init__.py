"""The page of scripts/demo.py."""
