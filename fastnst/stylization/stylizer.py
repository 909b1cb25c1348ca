"""The one door to trained networks: pad, run whole or in tiles, crop, clamp, and what the controls ask for."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.errors import InputError, is_out_of_memory
from fastnst.images.resizing import resize
from fastnst.models.hub import as_address
from fastnst.models.model_file import Model, find_model, load_model
from fastnst.models.publishing import write_folder
from fastnst.models.style_file import with_style_files
from fastnst.models.styles import pick, style_names
from fastnst.networks import OwnNetwork
from fastnst.networks.transformer import MINIMUM_SIZE
from fastnst.stylization import memory_estimate
from fastnst.stylization.controls import Controls
from fastnst.stylization.cpu.engine import CpuEngine
from fastnst.stylization.digest import digest
from fastnst.stylization.enlarger import Enlarger
from fastnst.stylization.given import as_tensors
from fastnst.stylization.tiles.tiled_run import DEFAULT_TILE, Progress, TiledRun

ENGINES = ("auto", "plain")


class Stylizer:
    """Stylizes pictures of any size with one model, or with a mixture of several.

    Args:
        model: from :func:`fastnst.models.model_file.load_model`, or a path or name for it; or several of these.
        device: where to run, for instance ``"cpu"`` or ``"cuda"``; None takes a GPU if there is one.
        mix: the share of each model in the result; they sum to 1. None: equal shares.
        shares: of a model of many styles, the share of each style by name, or by the path of a ``.style`` file that was
            learnt from it; they sum to 1. None: a model of one style.
        tile: side in pixels of the tiles that pictures are cut into; None: tiles only where the whole picture does not
            fit into the memory that is free.
        engine: ``"auto"`` runs whole pictures on the CPU by :class:`~fastnst.stylization.cpu.engine.CpuEngine` where it
            takes the network; ``"plain"`` runs the network as it is written. The pixels are the same.
        then: paint at a ``then.factor``-th of the size and have this enlarge the painting: strokes that many times as
            large, in less time.

    Raises:
        InputError: a model cannot be found or read, or ``mix``, ``shares``, ``tile`` or ``engine`` have no
            meaning.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike | Sequence[Model | str | os.PathLike],
        device: str | torch.device | None = None,
        *,
        mix: Sequence[float] | None = None,
        shares: Mapping[str, float] | None = None,
        tile: int | None = None,
        engine: str = "auto",
        then: Enlarger | None = None,
    ) -> None:
        given = [model] if isinstance(model, (Model, str, os.PathLike)) else list(model)
        if not given:
            raise InputError("no model was given: expected at least one.")
        models = [one if isinstance(one, Model) else load_model(find_model(os.fspath(one))) for one in given]
        self.many = models[0]
        if shares is not None:
            if len(models) > 1:
                raise InputError(f"shares of styles are of one model: expected one, and not {len(models)}.")
            self.many = with_style_files(self.many, shares)
            models = [pick(self.many, shares)]
        for one in models:
            if known := style_names(one):
                raise InputError(f"the model has {len(known)} styles: pick one of {', '.join(known)}.")
        self.mix = check_mix(mix, len(models))
        if tile is not None and tile < 1:
            raise InputError(f"tile={tile}: expected a side in pixels, for instance {DEFAULT_TILE}.")
        if engine not in ENGINES:
            raise InputError(f"engine={engine!r}: expected one of {', '.join(ENGINES)}.")
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.tile = tile
        self.then = then
        self.model = models[0]
        self.networks = [one.network.to(self.device) for one in models]
        self.network = self.networks[0]
        fast = engine == "auto"
        self.engines = [CpuEngine(one) if fast and CpuEngine.takes(one) else None for one in self.networks]

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike,
        device: str | torch.device | None = None,
        *,
        revision: str | None = None,
        **options: Any,
    ) -> Stylizer:
        """A stylizer of a model file, a folder with one, a model's name, or a repository on the Hugging Face Hub.

        Args:
            name: what :func:`~fastnst.models.model_file.find_model` takes, or ``OWNER/NAME`` of a repository whose
                ``model.safetensors`` is fetched, once; what lies here under that name comes first.
            device: as of the class; ``options`` are its others.
            revision: branch, tag or commit of the repository; None: its newest state.

        Raises:
            InputError: as of the class; for a repository, huggingface_hub is missing or does not get the file.
        """
        return cls(find_model(as_address(os.fspath(name), revision)), device, **options)

    def save_pretrained(self, folder: str | os.PathLike, overwrite: bool = False) -> Path:
        """Write the model as a folder that :meth:`from_pretrained` reads, and that can become a repository on the Hub.

        It holds ``model.safetensors`` (weights, card, style picture) and ``README.md``, the repository's page. A model
        of many styles is written with all of them.

        Args:
            folder: made if it is missing.
            overwrite: replace these two where they are there already.

        Returns:
            The folder.

        Raises:
            InputError: one of them is there, they cannot be written, or this is a mixture of several models.
        """
        if len(self.networks) > 1:
            raise InputError(f"a mixture of {len(self.networks)} models is no one model: save each of them by itself.")
        return write_folder(Path(folder), self.many, overwrite)

    def set_shares(self, shares: Mapping[str, float]) -> None:
        """From now on, paint in another style or mixture of the model of many styles this was made with.

        Raises:
            InputError: the shares have no meaning, or the model has one style.
        """
        self.many = with_style_files(self.many, shares)
        self.model = pick(self.many, shares, self.network)

    def digest(self) -> str:
        """A short text for the networks' weights and their shares."""
        return digest([*self.networks, *([] if self.then is None else [self.then.network])], self.mix)

    def __call__(self, picture: Any, controls: Controls | None = None, progress: Progress | None = None) -> Any:
        """Stylize a picture, or several.

        Args:
            picture: a tensor (3, H, W) or (N, 3, H, W), a NumPy array (H, W, 3) or (N, H, W, 3), both RGB, of floats in
                [0, 1] or uint8; a PIL picture; the path of a picture file; or a list or tuple of these. Any size from
                1x1 up.
            controls: how much, where and in which colours; None: the network's own result.
            progress: is told the finished part of a picture from 0 to 1, where it goes in tiles.

        Returns:
            What was given: of the same kind, type and device, and of exactly the same size, or that of
            ``controls.max_side``. Of a path a PIL picture.

        Raises:
            InputError: it is none of these, or its values have another range; or tiles were needed, and the temporary
                folder has no room for their feature maps.
        """
        if isinstance(picture, list | tuple):
            return type(picture)(self(one, controls, progress) for one in picture)
        pictures, back = as_tensors(picture)
        return back(self.together(pictures, controls, progress))

    @torch.inference_mode()
    def together(
        self, pictures: Sequence[Tensor], controls: Controls | None = None, progress: Progress | None = None
    ) -> list[Tensor]:
        """Stylize pictures (3, H, W) of one size, all of them in a pass where memory allows; GPUs are quicker so.

        Equal to one after the other but for rounding. :class:`~fastnst.stylization.cpu.engine.CpuEngine` takes one
        picture at a time. Other arguments and errors are those of a call; results (3, H, W) in [0, 1] on the CPU.
        """
        controls = controls or Controls()
        contents = [controls.reduce(picture.cpu()) for picture in pictures]
        if controls.strength == 0:
            return [content.clone() for content in contents]
        divisor = 1 if self.then is None else self.then.factor
        height, width = (math.ceil(side / divisor) for side in controls.network_size(*contents[0].shape[-2:]))
        seen = [resize(content, height, width) for content in contents]
        stylized: list[Tensor] = []
        for number, share in enumerate(self.mix):
            if share > 0:
                painted = self._paint(number, seen, _part_of(progress, number, len(self.networks)))
                if len(self.networks) > 1:
                    painted = [each.mul_(share) for each in painted]
                added = [one.add_(other) for one, other in zip(stylized, painted, strict=False)]
                stylized = added or painted
        if self.then is not None:
            stylized = [self.then(each) for each in stylized]
        return [controls.finish(each, content) for each, content in zip(stylized, contents, strict=True)]

    def _paint(self, number: int, pictures: Sequence[Tensor], progress: Progress | None) -> list[Tensor]:
        """(3, H, W) each through one of the networks, at its own size: all together, or in halves, or in tiles."""
        network, engine = self.networks[number], self.engines[number]
        height, width = pictures[0].shape[-2:]
        padded = [pad_by_reflection(one, max(height, MINIMUM_SIZE), max(width, MINIMUM_SIZE)) for one in pictures]
        rows, columns = padded[0].shape[-2:]
        one_pass = self.tile is None and (engine is None or len(pictures) == 1)
        if one_pass and memory_estimate.fits(network, len(pictures) * rows, columns, self.device, engine is not None):
            try:
                run = network if engine is None else engine
                return list(run(torch.stack(padded).to(self.device))[..., :height, :width].clamp(0, 1).cpu())
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
        if len(pictures) > 1:
            half = len(pictures) // 2
            return self._paint(number, pictures[:half], progress) + self._paint(number, pictures[half:], progress)
        if isinstance(network, OwnNetwork):
            raise InputError(
                f"a picture of {width}x{height} in tiles: only fastnst's own networks work in them; make it smaller "
                "(max_side), or take another device."
            )
        tile = self.tile or DEFAULT_TILE
        return [TiledRun(network, padded[0], tile, self.device, progress).run()[:, :height, :width]]


def check_mix(mix: Sequence[float] | None, models: int) -> list[float]:
    """The share of each model; equal ones for None.

    Raises:
        InputError: another number of shares than of models, a negative one, or a sum other than 1.
    """
    if mix is None:
        return [1 / models] * models
    if len(mix) != models:
        raise InputError(f"mix={_listed(mix)} has {len(mix)} shares for {models} models: give one for each.")
    if not all(share >= 0 for share in mix) or abs(sum(mix) - 1) > 1e-3:
        raise InputError(f"mix={_listed(mix)} sums to {sum(mix):g}: expected shares of 0 or more that sum to 1.")
    return list(mix)


def pad_by_reflection(picture: Tensor, height: int, width: int) -> Tensor:
    """Grow (3, H, W) at the bottom and the right to at least ``height`` x ``width``, also by more than its own size."""
    while picture.shape[-2] < height or picture.shape[-1] < width:
        h, w = picture.shape[-2:]
        if h == 1 or w == 1:  # one row or column has nothing to reflect
            picture = F.pad(picture, (0, int(w == 1), 0, int(h == 1)), mode="replicate")
            continue
        down, right = min(max(height - h, 0), h - 1), min(max(width - w, 0), w - 1)
        picture = F.pad(picture, (0, right, 0, down), mode="reflect")
    return picture


def _listed(mix: Sequence[float]) -> str:
    return ",".join(f"{share:g}" for share in mix)


def _part_of(progress: Progress | None, number: int, models: int) -> Progress | None:
    """The progress of one model of several as that of all."""
    if progress is None:
        return None
    return lambda done: progress((number + done) / models)
