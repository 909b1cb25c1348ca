"""Hand a trained model on: to ``checkpoints/``, or as a folder for the Hugging Face Hub; never over another."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from fastnst.errors import InputError
from fastnst.models.hub import FILE
from fastnst.models.model_file import Model, save_model
from fastnst.writing import written_whole

README = """---
library_name: fastnst
pipeline_tag: image-to-image
tags: [style-transfer]
---
# {name}

A network of [fast neural style transfer](https://arxiv.org/abs/1603.08155): it paints photographs as `{name}`.
`{file}` holds its weights and, in its metadata, how it was made; there is no code in it.

```python
import fastnst  # pip install 'fastnst[hub]'

stylize = fastnst.Stylizer.from_pretrained("OWNER/NAME")  # of this repository
stylize("photo.jpg").save("painted.png")
```
"""
"""The page of a repository; the lines above it are what the Hub reads (huggingface.co/docs/hub/model-cards)."""


def publish(model: Path, name: str, folder: Path = Path("checkpoints")) -> Path:
    """Copy a model file to ``checkpoints/NAME.ckpt``; what is there already stays.

    Raises:
        InputError: the name is taken, or is more than a name.
    """
    try:
        target = check_publishable(name, folder)
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as beside:
            copy = Path(beside, target.name)
            shutil.copyfile(model, copy)
            with open(copy, "rb+") as file:
                os.fsync(file.fileno())
            try:
                os.link(copy, target)  # whole, and only one can make it
            except FileExistsError:
                raise
            except OSError:  # a file system without links
                check_publishable(name, folder)
                os.replace(copy, target)
    except (InputError, OSError) as error:  # FileExistsError, too: somebody was faster
        raise InputError(f"publish={name}: {error} The model itself is saved as {model}.") from None
    return target


def check_publishable(name: str, folder: Path = Path("checkpoints")) -> Path:
    """Where :func:`publish` would put a model; asked before the training, not hours later.

    Raises:
        InputError: the name is taken, or is more than a name.
    """
    target = folder / f"{name}.ckpt"
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise InputError(f"publish={name!r}: expected a plain name, for a file in {folder}/.")
    if target.exists():
        raise InputError(f"publish={name}: {target} exists and is not replaced; choose another name.")
    return target


def write_folder(folder: Path, model: Model, overwrite: bool = False) -> Path:
    """Write ``model.safetensors`` and ``README.md``, the page of a repository, into a folder, and return it.

    Raises:
        InputError: one of them is there and ``overwrite`` is false, or they cannot be written.
    """
    page = folder / "README.md"
    for path in (folder / FILE, page):
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists: give another folder, or overwrite=True to replace it.")
    name = (model.card.get("style") or {"name": "several styles"})["name"]
    save_model(folder / FILE, model.network, model.card, model.thumbnail)
    with written_whole(page) as beside:
        beside.write_text(README.format(name=name, file=FILE), encoding="utf-8")
    return folder
