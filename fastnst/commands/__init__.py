"""One file for each command of ``fastnst``; its ``main`` takes the arguments and returns the exit code."""
