"""Trained networks in files: our own model files, other people's, ONNX graphs."""
