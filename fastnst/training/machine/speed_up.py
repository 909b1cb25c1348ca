"""Faster training that leaves the network's weights and their names as they are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import warnings

import torch

from fastnst.errors import InputError
from fastnst.networks import OwnNetwork
from fastnst.settings import TrainerSettings
from fastnst.training.steps.training_module import TrainingModule
from fastnst.training.trainer import choose_precision


def speed_up(module: TrainingModule, options: TrainerSettings) -> None:
    """Apply ``channels_last`` and ``compile``; names and values of the weights stay as they are.

    Raises:
        InputError: an option is none.
    """
    if options.channels_last not in (True, False, "auto"):
        raise InputError(f"trainer.channels_last={options.channels_last}: expected true, false or auto.")
    bfloat16 = choose_precision(options.precision, options.accelerator).startswith("bf16")
    if options.channels_last is True or (options.channels_last == "auto" and bfloat16):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's signature
    if options.compile:
        on_gpu = options.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        if (missing := missing_compiler(on_gpu)) is not None:
            warnings.warn(f"trainer.compile needs {missing}, not found: training continues uncompiled.", stacklevel=2)
            return
        # The functions, not the modules: a wrapped module would put `_orig_mod.` before every weight's name. The grain
        # stays outside: it lies elsewhere at every step, and would be compiled anew each time.
        network, vgg = module.network, getattr(module.loss, "vgg", None)
        if isinstance(network, OwnNetwork):
            network.body.forward = torch.compile(network.body.forward)
        else:
            network.convolve = torch.compile(network.convolve)  # type: ignore[method-assign]
        if vgg is not None:
            vgg.forward = torch.compile(vgg.forward)


def missing_compiler(on_gpu: bool) -> str | None:
    """What ``torch.compile`` would call and is not on this machine, or None."""
    if on_gpu and importlib.util.find_spec("triton") is None:
        return "Triton (pip install triton)"
    candidates = ([os.environ["CXX"]] if "CXX" in os.environ else []) + ["g++", "clang++", "cl"]
    if not any(shutil.which(name) for name in candidates):
        return "a C++ compiler (g++ or clang++; apt-get install g++)"
    return None
