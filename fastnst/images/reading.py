"""Read picture files as float32 RGB in [0, 1].

Whatever a file holds (EXIF turn, palette, transparency, grey, 16 bit, CMYK, a colour profile) is settled here, so that
training and stylization see the same picture that a viewer shows.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from fastnst.errors import InputError, reason, require_whole
from fastnst.images.listing import NOT_PICTURES
from fastnst.images.resizing import resize_short_side
from fastnst.images.srgb import on_white, to_rgb_and_alpha
from fastnst.images.tensors import to_tensor, to_tensor_and_alpha

MAX_PIXELS = 178_956_970
"""Largest picture that is opened: Pillow's own limit against decompression bombs (about 13,400 x 13,400)."""


def open_image(
    path: str | os.PathLike,
    *,
    max_pixels: int = MAX_PIXELS,
    draft_size: int | None = None,
    data: bytes | None = None,
) -> Image.Image:
    """Open a picture as 8-bit RGB, upright, in sRGB, transparency laid on white.

    Args:
        path: picture file; of an animation the first frame is taken.
        max_pixels: larger files are refused before they are decoded.
        draft_size: JPEG files may be decoded at 1/2, 1/4 or 1/8 as long as the shorter side stays at least this long
            (pixels); several times faster for large photographs. Other formats are decoded whole.
        data: what the file holds, where it was read already (out of an archive); ``path`` then is only its name.

    Raises:
        InputError: the file is missing, a folder, empty, truncated, too large or no picture.
    """
    with _decoded(path, max_pixels, draft_size, data) as picture:
        rgb, alpha = to_rgb_and_alpha(_upright(picture))
    return rgb if alpha is None else on_white(rgb, alpha)


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS, draft_size: int | None = None) -> Tensor:
    """Like :func:`open_image`, as a tensor ``(3, H, W)`` in [0, 1]."""
    return to_tensor(open_image(path, max_pixels=max_pixels, draft_size=draft_size))


def read_picture(path: str | os.PathLike, size: int, name: str) -> Tensor:
    """A picture (3, H, W) in [0, 1] whose shorter side is ``size`` pixels long; ``name`` is the option it came with.

    Raises:
        InputError: it cannot be read, or the size is no whole number above 0.
    """
    require_whole(name, size, 1)
    return resize_short_side(read_image(path, draft_size=size), size)


def read_image_with_alpha(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> tuple[Tensor, Tensor | None]:
    """Read colour and transparency apart, so that the transparency can be put back after stylization.

    Returns:
        Colour ``(3, H, W)`` in [0, 1], not blended with any background; where nothing shows at all it is white, because
        files hold arbitrary colours there. Alpha ``(1, H, W)`` in [0, 1], or None where the picture is opaque all over.

    Raises:
        InputError: as in :func:`open_image`.
    """
    return read_image_with_exif(path, max_pixels=max_pixels)[:2]


def read_image_with_exif(
    path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS
) -> tuple[Tensor, Tensor | None, bytes | None]:
    """Like :func:`read_image_with_alpha`, and third the camera data for the picture's copy.

    Camera, lens, date, place and the like, without the turn, which is settled, the thumbnail and sizes, which show
    another picture. None where there are none or they are damaged.
    """
    with _decoded(path, max_pixels, None) as picture:
        upright = _upright(picture)
        exif = _exif(upright)
        return *to_tensor_and_alpha(upright), exif


def _exif(picture: Image.Image) -> bytes | None:
    with suppress(Exception):
        exif = picture.getexif()
        for tag in (0x0112, 0x0100, 0x0101, 0x8773, 0x0102, 0x0103, 0x0106, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C):
            exif.pop(tag, None)  # orientation, size, colour profile, and how a TIFF's own pixels are stored
        fields = exif.get_ifd(0x8769)
        for tag in (0xA002, 0xA003, 0x927C):  # size; the maker's note, whose pointers do not survive a copy
            fields.pop(tag, None)
        return exif.tobytes() if len(exif) else None
    return None


@contextmanager
def _decoded(
    path: str | os.PathLike, max_pixels: int, draft_size: int | None, data: bytes | None = None
) -> Iterator[Image.Image]:
    """The picture as it lies in the file; what goes wrong while it is used is the file's fault, too."""
    try:
        if data is None and os.path.isdir(path):
            raise InputError(f"{path} is a folder; give one picture file")
        if data is None and not os.path.exists(path):
            raise InputError(f"{path} is not there; check the path of the picture")
        if (os.path.getsize(path) if data is None else len(data)) == 0:
            raise InputError(f"{path} is empty (0 bytes); get the file again")
        Image.init()
        source = path if data is None else io.BytesIO(data)
        with Image.open(source, formats=[name for name in Image.ID if name not in NOT_PICTURES]) as picture:
            _require_size(path, picture.size, max_pixels)
            if draft_size is not None:
                picture.draft(None, (draft_size, draft_size))  # type: ignore[arg-type]  # None: keep the mode
            picture.load()
            _require_size(path, picture.size, max_pixels)  # what lies in an icon may be larger than the icon says
            yield picture
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{path} is not a picture that Pillow can read; convert it to PNG or JPEG") from None
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} is larger than Pillow's limit against decompression bombs, {MAX_PIXELS:,} pixels: make it "
            "smaller or raise max_pixels"
        ) from error
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory; make it smaller first") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error and more
        raise InputError(f"{path} cannot be read as a picture ({reason(error)}); is it damaged or cut off?") from error


def _require_size(path: str | os.PathLike, size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise InputError(
            f"{path} has {size[0]} x {size[1]} pixels; the limit is {max_pixels:,} pixels: make it smaller first "
            "or raise max_pixels"
        )


def _upright(picture: Image.Image) -> Image.Image:
    """Turn or mirror as EXIF says; a damaged EXIF block is no reason to refuse the pixels."""
    with suppress(Exception):
        ImageOps.exif_transpose(picture, in_place=True)
    return picture
