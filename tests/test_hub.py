"""torch.hub, from a checkout."""

import torch

import hubconf
from fastnst.models.model_file import SHIPPED
from fastnst.stylization import Stylizer
from tests.conftest import PROJECT


def test_every_shipped_model_is_listed():
    listed = {name for name, value in vars(hubconf).items() if callable(value) and name[0] != "_"}  # as torch.hub does
    assert listed == {path.stem for path in SHIPPED.glob("*.ckpt")} and len(listed) >= 3


def test_paints_as_the_stylizer_does():
    module = torch.hub.load(str(PROJECT), "mosaic_slim", source="local")
    photos = torch.rand(2, 3, 37, 50, generator=torch.Generator().manual_seed(0))
    painted = module(photos)
    assert isinstance(module, torch.nn.Module) and painted.dtype == torch.float32 and painted.shape == photos.shape
    assert painted.min() >= 0 and painted.max() <= 1
    stylizer = Stylizer("mosaic_slim", "cpu", engine="plain")
    for photo, after in zip(photos, painted, strict=True):
        torch.testing.assert_close(after, stylizer(photo), atol=1e-4, rtol=0)
    assert "painted as mosaic_slim" in hubconf.mosaic_slim.__doc__
