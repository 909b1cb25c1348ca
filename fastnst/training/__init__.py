"""Training with Lightning: the module, and callbacks for pictures, files, warnings and interruptions."""
