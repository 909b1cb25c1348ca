"""From file to file: one, many, or standard input and output."""
