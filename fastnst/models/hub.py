"""Models on the Hugging Face Hub: a repository with a ``model.safetensors``, named and fetched."""

from __future__ import annotations

import re
from pathlib import Path

from fastnst.errors import InputError

SCHEME = "hf://"
FILE = "model.safetensors"
"""The only file that is fetched: weights, and the card as text. Nothing in such a file can be code."""
_ADDRESS = re.compile(r"hf://(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")
_FILES = (".ckpt", ".safetensors", ".pth", ".model")
"""What a name ends in that is meant for a file here, and not for a repository."""


def as_address(name: str, revision: str | None = None) -> str:
    """``OWNER/NAME`` as ``hf://OWNER/NAME@REVISION``, unless a file or folder of that name lies here; else the name.

    Raises:
        InputError: a revision of something that is no repository.
    """
    repository = name.removeprefix(SCHEME)
    here = repository == name and (name.endswith(_FILES) or Path(name).exists() or Path(f"{name}.ckpt").exists())
    if not here and _ADDRESS.fullmatch(SCHEME + repository):
        return SCHEME + repository + (f"@{revision}" if revision is not None else "")
    if revision is not None:
        raise InputError(f"{name}: revision={revision} is for a repository on the Hub, OWNER/NAME; leave it out here.")
    return name


def fetch(address: str) -> Path:
    """The model file of ``hf://OWNER/NAME`` or ``hf://OWNER/NAME@REVISION``, from the Hub or huggingface_hub's cache.

    Where and with which account is huggingface_hub's affair: ``HF_HOME``, ``HF_TOKEN``, ``HF_ENDPOINT``,
    ``HF_HUB_OFFLINE``.

    Raises:
        InputError: no such address, huggingface_hub is not installed, or it does not get the file.
    """
    if (parts := _ADDRESS.fullmatch(address)) is None:
        raise InputError(f"{address}: expected {SCHEME}OWNER/NAME or {SCHEME}OWNER/NAME@REVISION.")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise InputError(f"{address}: the Hub needs the package huggingface_hub: pip install 'fastnst[hub]'.") from None
    try:
        return Path(hf_hub_download(parts["repository"], FILE, revision=parts["revision"]))
    except Exception as error:  # its own kinds, and those of an HTTP library that is not always the same
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise InputError(
            f"{address}: {FILE} is neither in the cache nor to be had from the Hub ({type(error).__name__}: "
            f"{lines[0].rstrip('.')}): check the name, the connection and, where it is private, HF_TOKEN."
        ) from None
