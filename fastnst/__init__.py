"""fastnst: train a network on one painting, then stylize any photograph in milliseconds."""

__version__ = "0.1.0"
