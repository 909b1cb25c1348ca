"""Any Pillow picture as 8-bit sRGB: mode, depth, transparency and colour profile are settled here."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
from PIL import Image, ImageCms


def to_rgb_and_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Settle mode, depth, transparency and colour profile."""
    profile = picture.info.get("icc_profile")
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = Image.fromarray(_to_8_bits(picture))
    elif picture.mode == "La":
        picture = picture.convert("LA")

    alpha: Image.Image | None = None
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        picture = picture.convert("RGB")
        if alpha.getextrema()[0] == 255:
            alpha = None
    elif picture.mode in ("P", "1"):
        picture = picture.convert("RGB")

    if picture.mode == "LAB":
        picture = _to_srgb(picture, ImageCms.createProfile("LAB"))
    elif profile:
        # A damaged profile, or one of another colour space, is passed over for the plain conversion below.
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            picture = _to_srgb(picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    return picture if picture.mode == "RGB" else picture.convert("RGB"), alpha


def _to_srgb(picture: Image.Image, profile: object) -> Image.Image:
    """Convert from a colour profile to sRGB; a picture that is sRGB already stays as it is, bit for bit."""
    if picture.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(profile):  # type: ignore[arg-type]
        return picture
    converted = ImageCms.profileToProfile(
        picture,
        profile,  # type: ignore[arg-type]
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )
    assert converted is not None  # None only with inPlace=True
    return converted


def _to_8_bits(picture: Image.Image) -> np.ndarray:
    """Scale 16-bit, 32-bit and float grey to 8 bits; the white of I and F files is told by their largest value."""
    values = np.nan_to_num(np.asarray(picture).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if picture.mode.startswith("I;16") or picture.format in ("PNG", "PPM"):
        white = 65535.0 if picture.mode != "F" else 1.0
    else:
        whites = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
        white = next((white for white in whites if values.max() <= white), float(values.max()))
    return np.floor(np.clip(values / white, 0, 1) * 255 + 0.5).astype(np.uint8)


def on_white(rgb: Image.Image, alpha: Image.Image) -> Image.Image:
    return Image.composite(rgb, Image.new("RGB", rgb.size, (255, 255, 255)), alpha)
