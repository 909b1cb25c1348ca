"""What networks keep of photographs and of paintings, by figures that no objective here descends on.

Beside the networks stand the photographs themselves, L-BFGS on the same objective, and other people's pictures.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from fastnst.benchmark.commands.objective import objective_of, training_settings
from fastnst.benchmark.report.plots import Point, scatter
from fastnst.benchmark.report.tables import table
from fastnst.data.sources import folder_photos, sample_photos
from fastnst.errors import InputError
from fastnst.features.fidelity import Description, Fidelity, FidelityMeter
from fastnst.images.grids import labelled_grid
from fastnst.images.reading import read_image, read_picture
from fastnst.images.resizing import resize, resize_short_side
from fastnst.images.saving import save_image
from fastnst.losses.perceptual import CONTENT_LAYERS, HALO_WEIGHT, STYLE_LAYERS
from fastnst.models.model_file import find_model, load_model
from fastnst.optimization import optimize_picture
from fastnst.styles import NAMES, picture_path
from fastnst.stylization import Stylizer
from fastnst.writing import require_writable, written_whole

STYLE_SIZE = 512
"""Pixels of a painting's shorter side when it is measured: `style.size` of training."""
DEFAULT_OBJECTIVE: dict[str, Any] = {
    "loss_network": "vgg16", "weights": "imagenet_caffe", "pooling": "max",
    "loss": {"content_layers": CONTENT_LAYERS, "style_layers": STYLE_LAYERS, "halo_weight": HALO_WEIGHT},
}  # fmt: skip
"""Of training, in the form of its settings; weights and distances are the defaults of the objective itself."""
PHOTOGRAPH, LBFGS = "photograph", "L-BFGS"
OTHERS_COLUMNS = ("picture", "photo", "painting", "by")


class Contender(NamedTuple):
    """A picture to be measured.

    Attributes:
        painting, photo: their names.
        by: who made it: :data:`PHOTOGRAPH`, a model's name, :data:`LBFGS`, or what the list of others says.
        key: what the picture depends on, as a short text.
        paint: makes it, (3, H, W), the size of the photograph.
    """

    painting: str
    photo: str
    by: str
    key: str
    paint: Callable[[], Tensor]


class Kept:
    """Figures and pictures in a folder, so that a measurement can be interrupted and resumed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "figures.json"
        self.figures: dict[str, list[float]] = {}
        try:
            if self.file.exists():
                self.figures = json.loads(self.file.read_text(encoding="utf-8"))["figures"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"--keep {folder} holds nothing that can be resumed ({error}): give another.") from None
        require_writable(self.file)

    def measure(self, contender: Contender, compare: Callable[[Tensor], Fidelity]) -> Fidelity:
        """The figures of a contender, painted and compared if that has not been done."""
        known = len(self.figures.get(contender.key, ())) == len(Fidelity._fields)  # older files have one less
        if not known or not (contender.by == PHOTOGRAPH or self.picture(contender).exists()):
            picture = contender.paint()
            self.figures[contender.key] = list(compare(picture))
            if contender.by != PHOTOGRAPH:
                save_image(picture, self.picture(contender), overwrite=True)
            with written_whole(self.file) as part:
                part.write_text(json.dumps({"figures": self.figures}) + "\n", encoding="utf-8")
        return Fidelity(*self.figures[contender.key])

    def picture(self, contender: Contender) -> Path:
        return self.folder / f"{contender.key}.png"


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Pictures by the stem of their names.

    Raises:
        InputError: two have the same.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise InputError(f"{found[path.stem]} and {path} have one name: rename one of them.")
        found[path.stem] = path
    return found


def read_others(path: Path, paintings: Mapping[str, Path], photos: Mapping[str, Path]) -> list[dict[str, str]]:
    """The rows of a list of other people's pictures: a CSV file with the columns ``picture,photo,painting,by``.

    Args:
        path: of the list; pictures are looked for beside it.

    Raises:
        InputError: it cannot be read, a column or a picture is missing, or a photograph or painting is not among those
            measured.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--others {path} cannot be read ({error}).") from None
    if not rows or not set(OTHERS_COLUMNS) <= set(rows[0]):
        raise InputError(f"--others {path}: expected a CSV file with the columns {','.join(OTHERS_COLUMNS)}.")
    for row in rows:
        row["picture"] = str(path.parent / (row["picture"] or ""))
        for what, known in (("photo", photos), ("painting", paintings)):
            if row[what] not in known:
                raise InputError(f"--others {path}: {what} {row[what]!r} is none of {', '.join(known)}.")
        if not Path(row["picture"]).is_file():
            raise InputError(f"--others {path}: there is no picture {row['picture']}.")
    return rows


def digest(*parts: Any) -> str:
    """A short text for files (by their content) and values."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(Path(part).read_bytes() if isinstance(part, Path) else json.dumps(part).encode())
        whole.update(b"\0")
    return whole.hexdigest()[:16]


class Measurement:
    """All contenders of one call."""

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        self.options, self.device = options, device
        styles = [picture_path(name) for name in NAMES] if options.styles is None else folder_photos(options.styles)
        self.paintings = named(styles)
        found = sample_photos() if options.photos is None else folder_photos(options.photos)
        self.photos = named(found[: options.count])
        self.models = {Path(name).stem: find_model(name) for name in options.models}
        if len(self.models) < len(options.models):
            raise InputError("--models: two have the same name; rename one.")
        self.of_painting: dict[str, list[str]] = {name: [] for name in self.paintings}
        self.cards: dict[str, dict[str, Any]] = {}
        for name, path in self.models.items():
            card = load_model(path).card
            style = (card.get("style") or {}).get("name")
            if style not in self.paintings:
                raise InputError(
                    f"--models {path} was trained on {style!r}, which is none of {', '.join(self.paintings)}: "
                    "give the folder with its painting as --styles."
                )
            self.of_painting[style].append(name)
            self.cards[name] = card
        self.others = [] if options.others is None else read_others(options.others, self.paintings, self.photos)
        self.opened: tuple[str, Stylizer] | None = None
        self.meter = FidelityMeter(device)
        self.described: dict[Path, Description] = {}

    def photo(self, name: str) -> Tensor:
        return read_picture(self.photos[name], self.options.size, "--size")

    def compare(self, contender: Contender, picture: Tensor) -> Fidelity:
        photo, painting = self.photos[contender.photo], self.paintings[contender.painting]
        if photo not in self.described:
            self.described[photo] = self.meter.describe(self.photo(contender.photo))
        if painting not in self.described:
            self.described[painting] = self.meter.describe(resize_short_side(read_image(painting), STYLE_SIZE))
        own = self.described[photo]
        stylized = own if contender.by == PHOTOGRAPH else self.meter.describe(picture)
        return self.meter.compare(stylized, own, self.described[painting])

    def contenders(self) -> Iterator[Contender]:
        """Painting by painting: the photographs, each model, L-BFGS, and others."""
        for painting, style in self.paintings.items():

            def contender(photo: str, by: str, what: Any, paint: Callable[[], Tensor], painting=painting, style=style):
                key = digest(what, self.photos[photo], style, self.options.size)
                return Contender(painting, photo, by, key, paint)

            for photo in self.photos:
                yield contender(photo, PHOTOGRAPH, PHOTOGRAPH, partial(self.photo, photo))
            for model in self.of_painting[painting]:
                for photo in self.photos:
                    yield contender(photo, model, self.models[model], partial(self.stylized, model, photo))
            for photo in list(self.photos)[: self.options.lbfgs_photos] if self.options.iterations else ():
                what = [LBFGS, self.options.iterations, self.settings(painting)]
                yield contender(photo, LBFGS, what, partial(self.optimized, painting, photo))
            for row in self.others:
                if row["painting"] == painting:
                    picture = Path(row["picture"])
                    yield contender(row["photo"], row["by"], picture, partial(self.fitted, picture, row["photo"]))

    def fitted(self, picture: Path, photo: str) -> Tensor:
        """Somebody else's picture at the size of the photograph."""
        return resize(read_image(picture), *self.photo(photo).shape[-2:])

    def stylized(self, model: str, photo: str) -> Tensor:
        if self.opened is None or self.opened[0] != model:
            self.opened = model, Stylizer(self.models[model], self.device)
        return self.opened[1](self.photo(photo))

    def settings(self, painting: str) -> dict[str, Any]:
        """What the painting's first model was trained with; the default objective where it has none."""
        if models := self.of_painting[painting]:
            return training_settings(self.cards[models[0]])
        return {**DEFAULT_OBJECTIVE, "style": {"name": painting, "size": STYLE_SIZE}}

    def optimized(self, painting: str, photo: str) -> Tensor:
        card = {"settings": self.settings(painting)}
        loss = objective_of(card, self.paintings[painting], self.device)
        content = self.photo(photo).to(self.device)
        result = optimize_picture(loss, content, content, self.options.iterations, stall_tolerance=0)
        if result.stopped == "interrupted":
            raise KeyboardInterrupt
        return result.picture.cpu()


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each painting and maker: means over the photographs, beside the photographs' own distances."""
    own = {(row["painting"], row["photo"]): row for row in rows if row["by"] == PHOTOGRAPH}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["painting"], row["by"]), []).append(row)
    means = []
    for (painting, by), group in groups.items():
        mean: dict[str, Any] = {"painting": painting, "by": by, "photographs": len(group)}
        mean |= {what: statistics.fmean(row[what] for row in group) for what in Fidelity._fields}
        for what in ("style", "motifs"):
            reference = statistics.fmean(own[painting, row["photo"]][what] for row in group)
            mean |= {f"photograph_{what}": reference, f"{what}_ratio": mean[what] / reference}
        means.append(mean)
    return means


def run(options: argparse.Namespace, device: torch.device) -> tuple[dict[str, Any], Tensor]:
    """``benchmark.py paintings``: print the table; the figures, and a plot of content against style."""
    measurement, kept = Measurement(options, device), Kept(options.keep)
    contenders = list(measurement.contenders())
    rows, shown = [], {}
    for one in tqdm(contenders, desc="Paintings", unit="picture", dynamic_ncols=True):
        figures = kept.measure(one, partial(measurement.compare, one))
        rows.append({"painting": one.painting, "photo": one.photo, "by": one.by, **figures._asdict()})
        photo = measurement.photos[one.photo] if one.by == PHOTOGRAPH else kept.picture(one)
        shown[one.painting, one.photo, one.by] = photo
    means = summary(rows)
    heads = ["painting", "by", "photos", "content", "style", "of the photograph's", "motifs", "of the photograph's"]
    cells = [
        [
            row["painting"],
            row["by"],
            str(row["photographs"]),
            f"{row['content']:.3f}",
            *(
                text
                for what in ("style", "motifs")
                for text in (f"{row[what]:.3f}", f"{row[f'{what}_ratio']:.2f} of {row[f'photograph_{what}']:.3f}")
            ),
        ]
        for row in means
    ]
    print(table([heads, *cells]))
    print(
        "content: 1 is the photograph itself. style: 0 is the painting itself. motifs: so at a quarter of the size.\n"
        "Means over the photographs."
    )
    if options.sheet is not None:
        options.sheet.parent.mkdir(parents=True, exist_ok=True)
        save_image(sheet(measurement, shown), options.sheet, overwrite=options.overwrite)
        print(f"Sheet: {options.sheet}")
    points = [Point(row["by"], row["painting"], row["style_ratio"], row["content"]) for row in means]
    picture = scatter(
        "Content against style, means over the photographs",
        "style distance, of the photograph's own", "content kept", points,
    )  # fmt: skip
    return {"size": options.size, "summary": means, "pictures": rows}, picture


def sheet(measurement: Measurement, shown: Mapping[tuple[str, str, str], Path]) -> Tensor:
    """A row for each painting and photograph that others painted, too; else for each painting's first photograph."""
    pairs = list(dict.fromkeys((row["painting"], row["photo"]) for row in measurement.others))
    listed = {painting for painting, _ in pairs}
    first = next(iter(measurement.photos))
    pairs += [(painting, first) for painting in measurement.paintings if painting not in listed]
    makers = [by for by in dict.fromkeys(by for _, _, by in shown) if by not in measurement.models]
    columns = [*makers[:1], "ours", *makers[1:]] if measurement.models else makers
    rows: list[list[Tensor | None]] = []
    for painting, photo in pairs:
        ours = measurement.of_painting[painting]
        paths = [shown.get((painting, photo, (ours or [""])[0] if by == "ours" else by)) for by in columns]
        cells = [None if path is None else read_image(path) for path in paths]
        rows.append([read_image(measurement.paintings[painting]), *cells])
    return labelled_grid(rows, ["painting", *columns], [painting for painting, _ in pairs])
