"""benchmark.py paintings: figures for each contender, resumed, beside other people's pictures."""

import json
import shutil

import pytest

from fastnst.benchmark.commands.paintings import PHOTOGRAPH, summary
from fastnst.benchmark.report.plots import HEIGHT, WIDTH
from fastnst.features.fidelity import FidelityMeter
from fastnst.images.reading import read_image
from fastnst.images.resizing import resize, resize_short_side
from fastnst.styles import picture_path
from tests.conftest import run_script

HEADS = "picture,photo,painting,by\n"


@pytest.fixture
def measure(tmp_path, trained, photos):
    """On two photographs, with the model that the tests train, which is of the shipped mosaic."""
    (tmp_path / "held_out").mkdir()
    for number in (1, 2):
        shutil.copyfile(photos / f"photo{number}.png", tmp_path / "held_out" / f"photo{number}.png")
    (tmp_path / "paintings").mkdir()
    shutil.copyfile(picture_path("mosaic"), tmp_path / "paintings" / "mosaic.jpg")
    (tmp_path / "others.csv").write_text(HEADS + "held_out/photo2.png,photo1,mosaic,somebody\n")

    def run(*arguments):
        return run_script(
            "benchmark", "paintings", "--styles", "paintings", "--photos", "held_out", "--size", 48,
            "--models", trained / "model.ckpt", "--others", "others.csv", "--keep", "kept", "--device", "cpu",
            *arguments, cwd=tmp_path,
        )  # fmt: skip

    return run


def test_every_contender_is_measured_and_shown(measure, tmp_path):
    answer = measure("--iterations", 3, "--json", "f.json", "--plot", "f.png", "--sheet", "sheet.png")
    assert answer.code == 0, answer.err
    assert read_image(tmp_path / "f.png").shape == (3, HEIGHT, WIDTH)
    assert read_image(tmp_path / "sheet.png").shape[1] > 256
    figures = json.loads((tmp_path / "f.json").read_text())
    assert {(row["by"], row["photographs"]) for row in figures["summary"]} == {
        (PHOTOGRAPH, 2), ("model", 2), ("L-BFGS", 1), ("somebody", 1),
    }  # fmt: skip
    meter = FidelityMeter()
    photo = resize_short_side(read_image(tmp_path / "held_out" / "photo1.png"), 48)
    other = resize(read_image(tmp_path / "held_out" / "photo2.png"), *photo.shape[-2:])
    painting = meter.describe(resize_short_side(read_image(picture_path("mosaic")), 512))
    (row,) = (row for row in figures["pictures"] if row["by"] == "somebody")
    expected = meter.compare(meter.describe(other), meter.describe(photo), painting)
    assert (row["content"], row["style"], row["motifs"]) == pytest.approx(tuple(expected), rel=1e-3)


def test_resumes_from_what_is_kept(measure, tmp_path):
    assert measure("--iterations", 0, "--json", "first.json").code == 0
    kept = json.loads((tmp_path / "kept" / "figures.json").read_text())
    marked = {key: [0.25, *rest] for key, (_, *rest) in kept["figures"].items()}
    (tmp_path / "kept" / "figures.json").write_text(json.dumps({"figures": marked}))
    assert measure("--iterations", 0, "--json", "second.json").code == 0
    again = json.loads((tmp_path / "second.json").read_text())["pictures"]
    assert len(again) == 5 and {row["content"] for row in again} == {0.25}
    older = {key: figures[:2] for key, figures in marked.items()}  # as 0.2 kept them: measured anew
    (tmp_path / "kept" / "figures.json").write_text(json.dumps({"figures": older}))
    assert measure("--iterations", 0, "--json", "third.json").code == 0
    assert json.loads((tmp_path / "third.json").read_text()) == json.loads((tmp_path / "first.json").read_text())


def test_summary_by_hand():
    rows = [
        {"painting": "a", "photo": "x", "by": PHOTOGRAPH, "content": 1.0, "style": 0.5, "motifs": 0.8},
        {"painting": "a", "photo": "y", "by": PHOTOGRAPH, "content": 1.0, "style": 0.7, "motifs": 0.4},
        {"painting": "a", "photo": "x", "by": "net", "content": 0.4, "style": 0.2, "motifs": 0.3},
        {"painting": "a", "photo": "y", "by": "net", "content": 0.6, "style": 0.4, "motifs": 0.6},
        {"painting": "a", "photo": "y", "by": "somebody", "content": 0.1, "style": 0.35, "motifs": 0.1},
    ]
    by = {row["by"]: row for row in summary(rows)}
    assert by["net"]["content"] == pytest.approx(0.5) and by["net"]["style_ratio"] == pytest.approx(0.3 / 0.6)
    assert by["net"]["motifs_ratio"] == pytest.approx(0.45 / 0.6) and by["net"]["photograph_motifs"] == pytest.approx(
        0.6
    )
    assert by["somebody"]["style_ratio"] == pytest.approx(0.5) and by["somebody"]["photographs"] == 1
    assert by["somebody"]["motifs_ratio"] == pytest.approx(0.25)


def test_wrong_calls(measure, tmp_path):
    others, kept = tmp_path / "others.csv", tmp_path / "kept"
    for row, said in (
        ("a.png,z,mosaic,me", "photo 'z' is none of photo1, photo2"),
        ("a.png,photo1,monet,me", "painting 'monet' is none of mosaic"),
        ("a.png,photo1,mosaic,me", "there is no picture"),
    ):
        others.write_text(f"{HEADS}{row}\n")
        assert said in measure().error()
    others.write_text("nothing\n1\n")
    assert "expected a CSV file with the columns picture,photo,painting,by" in measure().error()
    others.write_text(HEADS + "held_out/photo2.png,photo1,mosaic,somebody\n")
    kept.mkdir()
    (kept / "figures.json").write_text("[]")
    assert "nothing that can be resumed" in measure().error()
    (tmp_path / "paintings" / "mosaic.jpg").rename(tmp_path / "paintings" / "monet.jpg")
    assert "trained on 'mosaic', which is none of monet" in measure().error()
