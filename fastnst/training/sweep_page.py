"""One page that shows what several trainings made of the same photographs."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastnst.command_line import called
from fastnst.errors import InputError
from fastnst.images.reading import open_image
from fastnst.models.model_file import Model, read_model
from fastnst.training.resume.run_folder import MODEL
from fastnst.writing import written_whole

WIDTH = 1400  # pixels of a picture on the page, at most


class Outcome(NamedTuple):
    """How one training of a sweep ended.

    Attributes:
        title: its place in the sweep and what was varied.
        folder: its run folder; None where it did not come so far.
        problem: why it failed, or an empty text.
    """

    title: str
    folder: Path | None
    problem: str = ""


def finish_sweep(folder: Path) -> None:
    """Lay the runs of a sweep out in one page, ``index.html``.

    Args:
        folder: with a ``NUMBER.json`` from each training that was begun: its ``overrides``, its run ``folder`` and its
            ``problem``.

    Raises:
        SystemExit: 1 where some of the trainings failed, 2 where all did.
    """
    words = {int(path.stem): json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("[0-9]*.json")}
    if not words:
        return
    common = set.intersection(*(set(word["overrides"]) for word in words.values())) if len(words) > 1 else set()
    outcomes = []
    for number in range(max(words) + 1):
        word = words.get(number, {"overrides": [], "folder": None, "problem": "it was not begun"})
        varied = ", ".join(override for override in word["overrides"] if override not in common)
        run = None if word["folder"] is None else Path(word["folder"])
        outcomes.append(Outcome(f"{number}: {varied}", run, word["problem"]))
    write_gallery(outcomes, folder / "index.html", f"Sweep of {folder.name}")
    failed = sum(bool(outcome.problem) for outcome in outcomes)
    print(f"\n{len(outcomes) - failed} of {len(outcomes)} trainings done. Gallery: {folder / 'index.html'}", flush=True)
    if failed:
        raise SystemExit(2 if failed == len(outcomes) else 1)


def write_gallery(outcomes: Sequence[Outcome], file: Path, title: str) -> None:
    """Write an HTML page; the pictures are inside it, so it can be moved and sent.

    Raises:
        InputError: the file cannot be written.
    """
    parts = [_section(outcome) for outcome in outcomes]
    failed = sum(bool(outcome.problem) for outcome in outcomes)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>
body {{ font: 16px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: {WIDTH}px; padding: 0 1rem; }}
img {{ max-width: 100%; }}
code {{ background: #8882; padding: .1em .3em; }}
.problem {{ color: #b00; }}
</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{len(outcomes)} trainings{f", {failed} failed" if failed else ""}.</p>
{"".join(parts)}
</body></html>
"""
    with written_whole(file, advice="the trainings are saved") as beside:
        beside.write_text(page, encoding="utf-8")


def _section(outcome: Outcome) -> str:
    lines = [f"<h2>{html.escape(outcome.title)}</h2>"]
    if outcome.problem:
        lines.append(f'<p class="problem">{html.escape(outcome.problem)}</p>')
    if outcome.folder is not None:
        model, command = outcome.folder / MODEL, "stylize"
        try:
            read = read_model(model)
            card, command = read.card, "stylize" if isinstance(read, Model) else "enlarge"
            terms = [
                f"{name} {card['held_out'][name]:.4g}"
                for name in ("content", "style", "psnr")
                if name in card["held_out"]
            ]
            held_out = f" On held-out photographs: {', '.join(terms)}." if terms else ""
            lines.append(
                f"<p>{card['steps']:,} steps in {card['seconds'] / 60:.1f} minutes.{html.escape(held_out)}</p>"
            )
        except (InputError, KeyError, TypeError):  # stopped before its first save
            lines.append("<p>No model.</p>")
        if (picture := _picture(outcome.folder / "previews" / "latest.png")) is not None:
            lines.append(f'<p><img alt="{html.escape(outcome.title)}" src="{picture}"></p>')
        lines.append(f"<p><code>{html.escape(f'{called(command)} --model {model}')}</code></p>")
    return "\n".join(lines) + "\n"


def _picture(path: Path) -> str | None:
    try:
        picture = open_image(path)
    except InputError:
        return None
    picture.thumbnail((WIDTH, WIDTH))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
