"""A folder that stylizes pictures in the visitor's browser: our page, the model as ONNX, and onnxruntime-web."""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import tarfile
import tempfile
from importlib import resources
from pathlib import Path

from fastnst.errors import InputError
from fastnst.export.agreement import Difference
from fastnst.export.formats import export_onnx
from fastnst.export.style_chooser import style_chooser
from fastnst.models.model_file import AnyModel, Model

RUNTIME = "onnxruntime-web@1.30.0"
"""The npm package; this version, because the page is tested with it."""
RUNTIME_FILES = (
    *("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
    *("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
)
"""Of the package's 60 files the three that computing on the CPU (WebAssembly) needs, 14 MB, and the three for the GPU
(WebGPU), 27 MB; a visitor's browser loads the ones or the others."""
PAGE_FILES = ("index.html", "page.js", "worker.js", "style.css")
PAINTS = {"what": "Turns your picture into a painting", "done": "stylized"}
ENLARGES = {"what": "Enlarges your picture", "done": "enlarged"}
"""Words of the page, by the kind of model."""
HOW_TO_GET = f"run `npm pack {RUNTIME}` where there is npm and internet, then give the .tgz as --runtime"


def export_web(
    model: AnyModel,
    folder: str | os.PathLike,
    name: str,
    precision: str = "float",
    runtime: Path | None = None,
    overwrite: bool = False,
) -> Difference:
    """Write the page's folder; any file server shows it, for instance ``python -m http.server``.

    Args:
        model: of our network; of one of many styles visitors choose and mix.
        folder: must not exist or be empty, unless ``overwrite``; files of other names in it stay.
        name: the page's title.
        precision: as in :func:`~fastnst.export.formats.export_onnx`.
        runtime: the npm package onnxruntime-web, as a folder or .tgz; None: from ``node_modules``, else through npm.
        overwrite: replace an earlier export.

    Returns:
        The difference of :func:`~fastnst.export.formats.export_onnx`.

    Raises:
        InputError: the folder is taken or cannot be written, or the runtime cannot be had.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file: give the name of a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise InputError(f"{folder} is not empty: add --overwrite to replace an export, or give another --output.")
    with tempfile.TemporaryDirectory() as temporary:
        beside = Path(temporary)
        difference = export_onnx(model, beside / "model.onnx", precision)
        find_runtime(beside, runtime)
        words = {"name": html.escape(name.replace("_", " ")), "styles": "", **ENLARGES}
        if isinstance(model, Model):
            words |= {"styles": style_chooser(model), **PAINTS}
        page = resources.files("fastnst.export") / "page"
        for file in PAGE_FILES:
            text = (page / file).read_text(encoding="utf-8")
            for place, word in words.items():
                text = text.replace(f"{{{{{place}}}}}", word)
            (beside / file).write_text(text, encoding="utf-8")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file in (*RUNTIME_FILES, "model.onnx", *PAGE_FILES[1:], PAGE_FILES[0]):  # the page itself comes last
                shutil.copyfile(beside / file, folder / file)
        except OSError as error:
            raise InputError(f"{folder} cannot be written ({error.strerror}): choose another or make room.") from None
    return difference


def find_runtime(target: Path, runtime: Path | None) -> None:
    """Put :data:`RUNTIME_FILES` into ``target``.

    Raises:
        InputError: they are not where they should be, or npm cannot fetch them.
    """
    installed = Path("node_modules") / "onnxruntime-web"
    if runtime is None and installed.is_dir():
        runtime = installed
    if runtime is not None and runtime.is_dir():
        _copy_from_folder(runtime, target)
    elif runtime is not None:
        _extract(runtime, target)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            _extract(_fetch(Path(temporary)), target)


def _copy_from_folder(folder: Path, target: Path) -> None:
    for place in (folder / "dist", folder):
        if all((place / file).is_file() for file in RUNTIME_FILES):
            for file in RUNTIME_FILES:
                shutil.copyfile(place / file, target / file)
            return
    raise InputError(f"--runtime {folder} lacks one of {', '.join(RUNTIME_FILES)}: {HOW_TO_GET}.")


def _extract(package: Path, target: Path) -> None:
    """Only these files, under names of ours: an archive cannot write anywhere else."""
    try:
        with tarfile.open(package) as archive:
            for file in RUNTIME_FILES:
                content = archive.extractfile(f"package/dist/{file}")
                if content is None:
                    raise KeyError(file)
                (target / file).write_bytes(content.read())
    except (OSError, tarfile.TarError, KeyError, EOFError) as error:
        raise InputError(f"--runtime {package} is not the package onnxruntime-web ({error}): {HOW_TO_GET}.") from None


def _fetch(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(f"the web page needs onnxruntime-web, and there is no npm here to fetch it: {HOW_TO_GET}.")
    print(f"Fetching {RUNTIME} with npm (33 MB) ...", flush=True)
    command = [npm, "pack", RUNTIME, "--silent", "--pack-destination", str(folder)]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=True)
        return next(folder.glob("onnxruntime-web-*.tgz"))
    except (OSError, subprocess.SubprocessError, StopIteration) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
        raise InputError(f"npm cannot fetch {RUNTIME} ({reason}): {HOW_TO_GET}.") from None
