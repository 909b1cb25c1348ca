"""A web page on one's own machine: choose a style, give a picture or use the camera, turn the controls, download."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fastnst.demo.atelier import KEPT_SECONDS, Atelier
from fastnst.demo.live import link
from fastnst.errors import InputError
from fastnst.images.color import COLOR_MODES
from fastnst.stylization.controls import Controls

if TYPE_CHECKING:
    import gradio

WAITING = 20
"""So many pictures wait at most; further ones are turned away."""
USERS_AT_ONCE = 2
"""So many pictures are painted at the same time, of different styles; others wait in a queue."""
HINT = "Choose a style, give a picture, press **Paint**. Everything is computed on the machine that runs this page."


def build_page(atelier: Atelier) -> gradio.Blocks:
    """The page, not yet served.

    Raises:
        InputError: gradio is not installed.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(atelier.uploads)  # else uploads stay in the system's folder for ever
    try:
        import gradio as gr
    except ImportError as error:
        raise InputError(f"the page needs the package {error.name}: pip install 'fastnst[demo]'.") from None

    apprentice = atelier.apprentice

    def described(style: str) -> str:
        return f"Style: **{style}**" + (f" ({link(style)})" if style in atelier.shipped else "")

    def choose(names, event):
        return names[event.index], described(names[event.index])

    choose.__annotations__["event"] = gr.SelectData  # gradio asks for the class; here it would be a string

    def paint(style: str, picture: str | None, strength: float, colors: str, scale: float, detail: float, side: float):
        try:
            painted = atelier.paint(
                style,
                picture,
                Controls(strength, colors, detail, stroke_scale=scale, max_side=int(side)),
            )
        except InputError as error:  # the visitor knows the file by its name, not by its place on this machine
            text = str(error) if picture is None else str(error).replace(str(picture), Path(picture).name)
            raise gr.Error(text, title="This did not work", print_exception=False) from None
        files = (str(painted.before), str(painted.after))
        return files, gr.DownloadButton(value=files[1], interactive=True), painted.text

    def learn(painting: str | None, names: list[str]):
        nothing = gr.skip()
        assert apprentice is not None
        try:
            for seen in apprentice.learn(painting):
                shown = nothing if seen.preview is None else str(seen.preview)
                if seen.model is None:
                    yield shown, seen.text, nothing, nothing, nothing, nothing, nothing, seen.run
                    continue
                names = [*names, name := atelier.add_painting(seen.model)]
                keep, shelf = gr.DownloadButton(value=str(seen.model), interactive=True), atelier.thumbnails(names)
                yield shown, seen.text, keep, gr.Gallery(shelf), names, name, described(name), None
        except InputError as error:
            text = str(error) if painting is None else str(error).replace(str(painting), Path(painting).name)
            raise gr.Error(text, title="This did not work", print_exception=False) from None

    def stop_own(run: Path | None) -> None:
        if apprentice is not None and run is not None:
            apprentice.stop(run)

    with gr.Blocks(title="fastnst", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(f"# fastnst\n{HINT}")
        names = gr.State(atelier.shipped)  # and this visitor's own paintings
        style = gr.State(first := atelier.shipped[0])
        run = gr.State(None)  # of this visitor's painting, while it is being learnt
        with gr.Row():
            with gr.Column():
                gallery = gr.Gallery(
                    atelier.thumbnails(atelier.shipped), label="Style", columns=4, height=320, allow_preview=False,
                    selected_index=0, interactive=False, buttons=[], elem_id="styles",
                )  # fmt: skip
                chosen = gr.Markdown(described(first), elem_id="chosen")
                picture = gr.Image(
                    label="Your picture", type="filepath", image_mode=None, format="png",
                    sources=["upload", "webcam", "clipboard"], elem_id="picture",
                )  # fmt: skip
                # The file as it was sent: our own reader knows more kinds, and says what is wrong with a broken one.
                picture.preprocess = lambda payload: None if payload is None else payload.path  # type: ignore[method-assign]
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
                colors = gr.Radio(list(COLOR_MODES), value="style", label="Colours")
                scale = gr.Slider(0.5, 4, 1, step=0.25, label="Stroke scale")
                detail = gr.Slider(0, 1, 0, step=0.05, label="Detail of the photograph")
                side = gr.Slider(256, 4096, 1600, step=64, label="Longer side at most, in pixels")
                button = gr.Button("Paint", variant="primary", elem_id="paint")
                with gr.Accordion("Your own painting", open=False, elem_id="own", visible=apprentice is not None):
                    painting = gr.Image(
                        label="Painting", type="filepath", image_mode=None, format="png",
                        sources=["upload", "clipboard"], elem_id="painting",
                    )  # fmt: skip
                    painting.preprocess = picture.preprocess  # type: ignore[method-assign]
                    with gr.Row():
                        begin = gr.Button("Learn it", elem_id="learn")
                        stop = gr.Button("Stop and keep", elem_id="stop")
                        keep = gr.DownloadButton("Download the model", interactive=False, elem_id="keep")
                    learnt = gr.Markdown("It takes about a minute on two processor cores.", elem_id="learnt")
                    preview = gr.Image(label="Learnt so far", interactive=False, elem_id="preview")
            with gr.Column():
                result = gr.ImageSlider(label="Before and after", type="filepath", format="png", interactive=False)
                status = gr.Markdown("", elem_id="status")
                download = gr.DownloadButton("Download", interactive=False, elem_id="download")
        gallery.select(choose, [names], [style, chosen])
        button.click(
            paint,
            [style, picture, strength, colors, scale, detail, side],
            [result, download, status],
            concurrency_limit=USERS_AT_ONCE,
        )
        begin.click(
            learn,
            [painting, names],
            [preview, learnt, keep, gallery, names, style, chosen, run],
            concurrency_limit=USERS_AT_ONCE,
        )
        stop.click(stop_own, [run], None, queue=False)
    page.queue(max_size=WAITING)
    return page
