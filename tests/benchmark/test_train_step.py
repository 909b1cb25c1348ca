"""The training step that is timed is the one that trains."""

import torch
from omegaconf import OmegaConf

from fastnst.benchmark.commands import train_step
from fastnst.features import VGG, load_vgg_weights
from fastnst.losses import PerceptualLoss
from fastnst.losses.perceptual import CONTENT_LAYERS, STYLE_LAYERS
from fastnst.networks import build_network
from fastnst.training.module import StyleTransferModule
from tests.conftest import PROJECT


def test_the_timed_step_is_the_modules():
    """By its loss; that the objective's own defaults are the configuration's is held by tests/test_configs.py."""
    settings, network = (
        OmegaConf.load(PROJECT / "configs" / name) for name in ("task/stylizing.yaml", "network/johnson.yaml")
    )
    style, content = (torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(n)) for n in (1, 2))
    torch.manual_seed(0)
    step = train_step.our_step(style[0], torch.device("cpu"), width=4)
    torch.manual_seed(0)
    small = build_network("transformer", {**network.arguments, "width": 4})
    loss = PerceptualLoss(VGG([*CONTENT_LAYERS, *STYLE_LAYERS], load_vgg_weights()), style)
    module = StyleTransferModule(small, loss, steps=1, range_weight=settings.range_weight)
    module.log_dict = lambda values, **_: None
    module.grain_origin = lambda: (0, 0)  # the timed step leaves the grain where it is
    torch.testing.assert_close(step(content), module.training_step({"images": content}, 0).detach())
