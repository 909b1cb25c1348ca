"""A network and a painting that take no time."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from fastnst.cluster.painting_actor import Painting
from fastnst.cluster.tree import Tree
from fastnst.models.model_file import Model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Controls
from fastnst.stylization.files.one_file import Handling


@pytest.fixture(scope="session")
def model() -> Model:
    torch.manual_seed(1)
    return Model(TransformerNetwork(width=4, residual_blocks=1).eval(), {}, None)


@pytest.fixture
def painting(model, tmp_path) -> Painting:
    return Painting(
        {"m": [model]}, Controls(), Handling(overwrite=True), None, "cpu", None, "auto", None, "files",
        Tree(tmp_path / "out"),
    )  # fmt: skip


def film_of(path: Path, count: int, key_every: int = 12, size: tuple[int, int] = (48, 64)) -> Path:
    """A clip of a moving pattern with sound, and a key frame every so often."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
        stream.height, stream.width = size
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", key_every
        stream.options = {"crf": "10", "x264-params": f"keyint={key_every}:min-keyint={key_every}:scenecut=0"}
        audio = container.add_stream("aac", rate=8000)
        for number in range(count):
            rows, columns = np.mgrid[: size[0], : size[1]]
            bright = 120 + 60 * np.sin((columns + 2 * number) / 7) + 50 * np.cos(rows / 9)
            picture = np.stack([bright, bright * 0.8, 200 - bright * 0.5], axis=-1).clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
        samples = (8000 * np.sin(np.arange(8192) / 5)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path
