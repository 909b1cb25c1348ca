"""Stylize pictures with a trained network; needs neither Lightning nor Hydra."""

from fastnst.stylization.controls import Controls
from fastnst.stylization.stylizer import Stylizer

__all__ = ["Controls", "Stylizer"]
