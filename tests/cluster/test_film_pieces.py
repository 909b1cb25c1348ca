"""A film cut, painted in pieces and joined: frame for frame what one machine paints."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
import torch

from fastnst.cluster.film_pieces import LEAD, Joined, Piece, PieceWriter, cut, frames_of
from fastnst.cluster.paint_film import FilmActor
from fastnst.cluster.tree import Tree
from fastnst.errors import InputError
from fastnst.models.model_file import save_model
from fastnst.stylization.moving.convert import stylize_moving
from fastnst.stylization.moving.painter import Painter
from fastnst.stylization.moving.steady.steadiness import Steady
from fastnst.stylization.moving.video_reader import VideoFrame, VideoReader
from fastnst.stylization.stylizer import Stylizer
from tests.cluster.conftest import film_of
from tests.conftest import run_script

FRAMES = 60


def frames(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def tensor_of(frame: VideoFrame) -> torch.Tensor:
    return torch.from_numpy(frame.picture).permute(2, 0, 1).float() / 255


def sound(path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0) if packet.size]


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return film_of(tmp_path_factory.mktemp("film") / "film.mp4", FRAMES)


def test_cuts_lie_at_key_frames_and_every_frame_in_one_piece(film):
    pieces = cut(film, 0.0, None, steady=False, seconds=0.3)
    assert [piece.number for piece in pieces] == list(range(5)) and pieces[-1].end is None
    key_frames = [float(n * Fraction(1001, 30000)) for n in range(0, FRAMES, 12)]
    assert [piece.start for piece in pieces] == pytest.approx(key_frames)
    counted = []
    for piece in pieces:
        items = list(VideoReader(film, piece.start, piece.end))
        counted.append(sum(isinstance(item, VideoFrame) for item in items))
    assert counted == [12] * 5
    assert len(cut(film, 0.0, None, steady=False)) == 1  # pieces are no shorter than 5 seconds


def test_cuts_of_a_part_and_leads(film):
    pieces = cut(film, 0.5, 1.5, steady=True, seconds=0.3)
    assert pieces[0] == Piece(0, 0.5, pytest.approx(0.8008), 0.0) and pieces[-1].end == 1.5
    assert [piece.lead for piece in pieces] == pytest.approx([piece.start - 0.5 for piece in pieces])


@pytest.mark.parametrize("height", [48, 33])
def test_frames_are_kept_without_loss(tmp_path, height):
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (5, height, 47, 3), np.uint8)
    writer = PieceWriter(tmp_path / "piece.mkv", 0.1)
    for number, picture in enumerate(pictures):
        writer.write(VideoFrame(picture, Fraction(number, 20)))
    writer.close()
    assert writer.frames == 3  # two lie in the lead, of which the last is kept
    assert np.array_equal(np.stack(list(frames_of(tmp_path / "piece.mkv"))), pictures[1:])


def paint_in_pieces(painting, film, pieces, folder) -> tuple[np.ndarray, Joined]:
    tasks = [{"source": str(film), "output": f"{piece.number}.mkv", **piece._asdict()} for piece in pieces]
    rows = FilmActor(replace(painting, target=Tree(folder)))(pa.Table.from_pylist(tasks)).to_pylist()
    joined = Joined(pieces, iter([folder / row["output"] for row in rows]))
    stylize_moving(film, folder / "joined.mp4", joined)
    return frames(folder / "joined.mp4"), joined


def test_pieces_are_the_film(painting, model, film, tmp_path):
    stylize_moving(film, tmp_path / "one.mp4", Painter(Stylizer(model, "cpu")))
    pieces = cut(film, 0.0, None, steady=False, seconds=0.3)
    many, joined = paint_in_pieces(painting, film, pieces, tmp_path / "out")
    assert np.array_equal(many, frames(tmp_path / "one.mp4")) and len(many) == FRAMES
    assert sound(tmp_path / "out/joined.mp4") == sound(tmp_path / "one.mp4") == sound(film) and joined.seams == []


def test_steadied_pieces_meet(painting, model, tmp_path):
    """The seam is measured where both sides have painted the same frame, and is smaller the longer the lead."""
    film = film_of(tmp_path / "film.mp4", 2 * FRAMES)  # long enough for a whole lead
    painting = replace(painting, handling=replace(painting.handling, temporal=0.8))
    painter = Painter(Stylizer(model, "cpu"), steady=Steady(0.8))
    whole = [painter(tensor_of(item)) for item in VideoReader(film) if isinstance(item, VideoFrame)]
    pieces = cut(film, 0.0, None, steady=True, seconds=1.9)
    assert len(pieces) == 2 and pieces[1].lead == LEAD
    seams = []
    for lead in (0.07, LEAD):
        short = [pieces[0], pieces[1]._replace(lead=lead)]
        many, joined = paint_in_pieces(painting, film, short, tmp_path / f"out{lead}")
        assert len(many) == 2 * FRAMES
        seams += joined.seams
    assert len(seams) == 2 and seams[1] < 0.1 * seams[0] and seams[1] < 0.5
    again = Joined(short, iter([tmp_path / f"out{LEAD}/0.mkv", tmp_path / f"out{LEAD}/1.mkv"]))
    difference = [float((again(frame) - frame).abs().mean()) for frame in whole]
    assert max(difference) < 1 / 255  # before the encoder, which answers the least change with many


def test_missing_and_damaged_pieces(tmp_path):
    (tmp_path / "piece.mkv").write_bytes(b"half")
    with pytest.raises(InputError, match=r"piece.mkv is damaged"):
        next(frames_of(tmp_path / "piece.mkv"))
    with pytest.raises(InputError, match="fewer frames than the film"):
        Joined([], iter([]))(torch.zeros(3, 4, 4))


@pytest.mark.cluster
def test_by_command(film, tmp_path, painting):
    """A film of which a piece is there already; the result is byte for byte that of one machine."""
    save_model(tmp_path / "small.ckpt", painting.models["m"][0].network, {})
    long = film_of(tmp_path / "long.mp4", 200, key_every=160, size=(16, 24))
    options = ["--model", "small.ckpt", "--device", "cpu", "--max-side", "20", "--input", long]
    assert run_script("stylize", *options, "--output", "one.mp4", cwd=tmp_path).code == 0
    many = [*options, "--output", "out/many.mp4"]
    answer = run_script("stylize_many", *many, cwd=tmp_path)
    assert answer.code == 0 and "(200 frames in 2 pieces)" in answer.out, answer
    assert (tmp_path / "out/many.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()
    assert not list((tmp_path / "out").rglob("*.mkv"))
    itself = ["--model", "small.ckpt", "--input", long, "--output", long, "--overwrite"]
    assert "is the input itself" in run_script("stylize_many", *itself, cwd=tmp_path).error()
    assert "exists: add --overwrite" in run_script("stylize_many", *many, cwd=tmp_path).error()
