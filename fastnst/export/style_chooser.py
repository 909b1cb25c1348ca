"""The part of the static page that a model of many styles needs: its style pictures to choose from, and a slider."""

from __future__ import annotations

import base64
import html
import io

from torch import Tensor

from fastnst.images.tensors import to_pil
from fastnst.models.model_file import Model
from fastnst.models.styles import style_names

ROW = """<section id="styles" aria-label="Style">
    <div>
{buttons}
    </div>
    <p id="mixing">
      <label>Mix with <select id="second">{options}</select></label>
      <input id="mix" type="range" min="0" max="100" step="5" aria-label="share of the second style">
      <output id="shares" for="mix"></output>
    </p>
  </section>"""
BUTTON = '      <button type="button" aria-pressed="false" data-name="{name}">{picture}<span>{shown}</span></button>'


def style_chooser(model: Model) -> str:
    """HTML; nothing for a model of one style, or with one style alone. What it does is in ``page.js``."""
    names = style_names(model)
    if len(names) < 2:
        return ""
    pictures = [""] * len(names) if model.thumbnail is None else [image(one) for one in model.thumbnail]
    shown = [html.escape(name.replace("_", " ")) for name in names]
    buttons = "\n".join(
        BUTTON.format(name=html.escape(name), picture=picture, shown=text)
        for name, picture, text in zip(names, pictures, shown, strict=True)
    )
    return ROW.format(buttons=buttons, options="".join(f"<option>{text}</option>" for text in shown))


def image(picture: Tensor) -> str:
    """An <img> that holds the picture (3, H, W) in [0, 1]: the page needs no further files."""
    file = io.BytesIO()
    to_pil(picture).save(file, "JPEG", quality=90)
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}" alt="style picture">'
