"""Read and write picture files; everything in between is float32 RGB in [0, 1].

Whatever a file holds (EXIF turn, palette, transparency, grey, 16 bit, CMYK, a colour profile) is settled here, so that
training and stylization see the same picture that a viewer shows.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from fastnst.errors import InputError
from fastnst.writing import written_whole

MAX_PIXELS = 178_956_970
"""Largest picture that is opened: Pillow's own limit against decompression bombs (about 13,400 x 13,400)."""

_STRIP = 512  # rows that are converted at once, so that a large picture is not held twice

# Formats that Pillow lists but cannot decode by itself (they need a plug-in, Windows or Ghostscript), or that are no
# pictures. EPS and PS would moreover be handed to an outside program.
_NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}

# What a picture may be saved as, and whether that keeps transparency.
_SAVED_AS = {
    ".png": ("PNG", True),
    ".jpg": ("JPEG", False),
    ".jpeg": ("JPEG", False),
    ".webp": ("WEBP", True),
    ".avif": ("AVIF", True),
    ".tif": ("TIFF", True),
    ".tiff": ("TIFF", True),
    ".bmp": ("BMP", False),
}


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
        rgb, alpha = _to_rgb_and_alpha(_upright(picture))
    return rgb if alpha is None else _on_white(rgb, alpha)


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS, draft_size: int | None = None) -> torch.Tensor:
    """Like :func:`open_image`, as a tensor ``(3, H, W)`` in [0, 1]."""
    return to_tensor(open_image(path, max_pixels=max_pixels, draft_size=draft_size))


def read_image_with_alpha(
    path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS
) -> tuple[torch.Tensor, torch.Tensor | None]:
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
) -> tuple[torch.Tensor, torch.Tensor | None, bytes | None]:
    """Like :func:`read_image_with_alpha`, and third the camera data for the picture's copy.

    Camera, lens, date, place and the like, without the turn, which is settled, the thumbnail and sizes, which show
    another picture. None where there are none or they are damaged.
    """
    with _decoded(path, max_pixels, None) as picture:
        upright = _upright(picture)
        exif = _exif(upright)
        rgb, alpha = _to_rgb_and_alpha(upright)
    if alpha is None:
        return to_tensor(rgb), None, exif
    invisible = alpha.point(lambda value: 255 if value == 0 else 0)
    rgb.paste((255, 255, 255), mask=invisible)
    return to_tensor(rgb), _array_to_tensor(np.array(alpha)[None]), exif


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


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """Turn a Pillow picture into ``(3, H, W)`` float32 in [0, 1]; modes other than RGB are converted first."""
    if picture.mode != "RGB":
        rgb, alpha = _to_rgb_and_alpha(picture)
        picture = rgb if alpha is None else _on_white(rgb, alpha)
    return _array_to_tensor(np.array(picture).transpose(2, 0, 1))


def to_pil(image: torch.Tensor) -> Image.Image:
    """Turn ``(3, H, W)`` into an RGB picture: clamped to [0, 1], rounded half up to 8 bits; any float type, any device.

    Raises:
        InputError: another shape, or NaN in the picture.
    """
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise InputError(f"a tensor of shape {tuple(image.shape)} is not one picture; give (3, H, W)")
    return Image.fromarray(_to_bytes(image).permute(1, 2, 0).contiguous().numpy())


def save_image(
    image: torch.Tensor,
    path: str | os.PathLike,
    *,
    alpha: torch.Tensor | None = None,
    quality: int = 95,
    overwrite: bool = False,
    exif: bytes | None = None,
) -> None:
    """Write ``(3, H, W)`` in [0, 1] to a file whose format follows from the extension.

    The file appears under its name only when it is complete. Missing folders are made.

    Args:
        image: ``(3, H, W)``; values outside [0, 1] are clamped.
        path: ends in .png, .jpg, .webp, .avif, .tif or .bmp.
        alpha: ``(1, H, W)`` in [0, 1]; kept where the format can, laid on white in JPEG and BMP.
        quality: 1 to 100, for JPEG, WebP and AVIF; colour is stored at full resolution in JPEG.
        overwrite: replace a file that is there already.
        exif: from :func:`read_image_with_exif`, kept where the format can.

    Raises:
        InputError: unknown extension, the file exists, the folder cannot be written to, the disk is full, or the
            picture is too large for the format.
    """
    path = Path(path)
    extension = path.suffix.lower()
    if extension not in savable_extensions():
        given = f"ends in {path.suffix}" if path.suffix else "has no extension"
        raise InputError(f"{path} {given}; pictures are saved as one of {', '.join(savable_extensions())}")
    if not 1 <= quality <= 100:
        raise InputError(f"quality {quality} is outside 1 to 100; 95 is a good value")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a picture file")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; choose another name or ask to overwrite it")

    file_format, keeps_alpha = _SAVED_AS[extension]
    picture = to_pil(image)
    if alpha is not None:
        if tuple(alpha.shape) != (1, *image.shape[1:]):
            raise InputError(
                f"alpha has shape {tuple(alpha.shape)}; expected {(1, *image.shape[1:])} as of the picture"
            )
        mask = Image.fromarray(_to_bytes(alpha)[0].numpy())
        if keeps_alpha:
            picture.putalpha(mask)
        else:
            picture = _on_white(picture, mask)
    options: dict[str, object] = {} if file_format in ("PNG", "BMP", "TIFF") else {"quality": quality}
    if file_format == "JPEG":
        options["subsampling"] = 0  # strokes of pure colour smear at half colour resolution
    if exif and file_format != "BMP":
        options["exif"] = exif

    advice = "check folder, disk space and size"
    with written_whole(path, advice) as beside, open(beside, "wb") as file:
        try:
            picture.save(file, file_format, **options)
        except ValueError as error:  # too large for the format
            raise InputError(f"{path} cannot be written ({_reason(error)}): {advice}.") from error


def list_images(folder: str | os.PathLike, recursive: bool = True) -> list[Path]:
    """List the pictures in a folder by their extension, sorted, without opening any.

    Hidden files and folders are passed over; linked folders are followed, each once.

    Raises:
        InputError: there is no such folder, or it cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is {'a file' if folder.exists() else 'not there'}; give a folder of pictures")
    extensions = tuple(readable_extensions())
    found: list[str] = []
    visited: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({_reason(error)}); check its permissions") from error

    for where, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        status = os.stat(where)
        if (status.st_dev, status.st_ino) in visited:  # a link back up would go round for ever
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        found.extend(
            os.path.join(where, name)
            for name in files
            if name.lower().endswith(extensions) and not name.startswith(".")
        )
    return [Path(name) for name in sorted(found)]


@lru_cache(maxsize=1)
def readable_extensions() -> list[str]:
    """Extensions (lower case, with the dot) of the still pictures that the installed Pillow can open."""
    known = Image.registered_extensions()
    return sorted(extension for extension, name in known.items() if name in Image.OPEN and name not in _NOT_PICTURES)


@lru_cache(maxsize=1)
def savable_extensions() -> list[str]:
    """Extensions that :func:`save_image` writes; .webp and .avif only where the installed Pillow can."""
    Image.init()
    return [extension for extension, (name, _) in _SAVED_AS.items() if name in Image.SAVE]


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
        with Image.open(source, formats=[name for name in Image.ID if name not in _NOT_PICTURES]) as picture:
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
            "smaller or raise --max-pixels"
        ) from error
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory; make it smaller first") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error and more
        raise InputError(f"{path} cannot be read as a picture ({_reason(error)}); is it damaged or cut off?") from error


def _require_size(path: str | os.PathLike, size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise InputError(
            f"{path} has {size[0]} x {size[1]} pixels; the limit is {max_pixels:,} pixels: make it smaller first "
            "or raise --max-pixels"
        )


def _upright(picture: Image.Image) -> Image.Image:
    """Turn or mirror as EXIF says; a damaged EXIF block is no reason to refuse the pixels."""
    with suppress(Exception):
        ImageOps.exif_transpose(picture, in_place=True)
    return picture


def _to_rgb_and_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Settle mode, depth, transparency and colour profile: RGB, and an 8-bit mask where it is not opaque."""
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


def _on_white(rgb: Image.Image, alpha: Image.Image) -> Image.Image:
    return Image.composite(rgb, Image.new("RGB", rgb.size, (255, 255, 255)), alpha)


def _array_to_tensor(array: np.ndarray) -> torch.Tensor:
    """Turn ``(C, H, W)`` bytes into float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(array)).float().div_(255)


def _to_bytes(image: torch.Tensor) -> torch.Tensor:
    """Clamp and round half up (not half to even, as ``round`` would) to uint8 on the CPU, without a second copy."""
    channels, height, width = image.shape
    result = torch.empty(height, width, channels, dtype=torch.uint8).permute(2, 0, 1)  # in memory as Pillow has it
    for rows in range(0, image.shape[-2], _STRIP):
        part = image[..., rows : rows + _STRIP, :].detach().to("cpu", torch.float32)
        if part.isnan().any():
            raise InputError("the picture holds NaN; the network that made it has diverged or its weights are damaged")
        result[..., rows : rows + _STRIP, :] = part.clamp(0, 1).mul_(255).add_(0.5).floor_().to(torch.uint8)
    return result


def _reason(error: Exception) -> str:
    """The error in a few words, without the path that the message already names."""
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
