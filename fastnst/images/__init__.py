"""Pictures on disk and in memory: reading, writing, resizing and laying them out."""
