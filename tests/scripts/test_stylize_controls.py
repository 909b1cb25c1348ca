"""Controls, streams, moving pictures and bad input through the command line."""

import signal
import subprocess
import sys
import threading

import av
import numpy as np
import pytest
import torch
from PIL import Image

from fastnst.images.reading import read_image
from fastnst.models.model_file import save_model
from fastnst.networks import TransformerNetwork
from fastnst.stylization import Controls, Stylizer
from fastnst.stylization.moving.animation import AnimationReader


@pytest.fixture
def here(tmp_path):
    """Two models and a photograph with camera data."""
    for number, name in enumerate("ab"):
        torch.manual_seed(number)
        save_model(tmp_path / f"{name}.ckpt", TransformerNetwork(width=8, residual_blocks=1), {"style": {"name": name}})
    values = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "Camera 1", 6
    photo = Image.fromarray(values).resize((48, 36), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "in.jpg", exif=exif, quality=95)
    return tmp_path


def saved(path) -> torch.Tensor:
    return read_image(path)


@pytest.mark.parametrize(
    ("call", "controls"),
    [
        ("--strength 0.3", Controls(strength=0.3)),
        ("--colors content", Controls(colors="content")),
        ("--colors match", Controls(colors="match")),
        ("--detail 0.7", Controls(detail=0.7)),
        ("--stroke-scale 2", Controls(stroke_scale=2)),
        ("--max-side 20", Controls(max_side=20)),
        ("--tile 16", Controls()),
    ],
)
def test_controls_reach_the_stylizer(stylize, here, call, controls):
    answer = stylize("--model", "a.ckpt", "--input", "in.jpg", "--output", "out.png", *call.split())
    assert answer.code == 0 and answer.err == "", answer.err
    expected = Stylizer(here / "a.ckpt", "cpu")(read_image(here / "in.jpg"), controls)
    assert (saved(here / "out.png") - expected).abs().max() < 1.5 / 255


def test_mask_and_mix(stylize, here):
    mask = np.zeros((18, 9), np.uint8)  # half of each side of the upright photograph, 36 x 48
    mask[:, 5:] = 255
    Image.fromarray(mask).save(here / "mask.png")
    call = ("--model", "a.ckpt", "--model", "b.ckpt", "--mix", "0.6,0.4", "--input", "in.jpg")
    answer = stylize(*call, "--mask", "mask.png", "--output", "out.png")
    assert answer.code == 0 and answer.err == "mask.png: the mask was resized to the picture.\n"
    photo = read_image(here / "in.jpg")
    mixed = sum(share * Stylizer(here / f"{name}.ckpt", "cpu")(photo) for name, share in (("a", 0.6), ("b", 0.4)))
    result = saved(here / "out.png")
    assert (result - photo)[..., :14].abs().max() < 1e-6
    assert (result - mixed)[..., -14:].abs().max() < 1.5 / 255
    assert stylize(*call).code == 0 and (here / "stylized" / "in_a+b.png").is_file()


def test_metadata_and_quality(stylize, here):
    for extension in ("jpg", "webp", "png", "tif"):
        assert stylize("--model", "a.ckpt", "--input", "in.jpg", "--output", f"out.{extension}").code == 0
        with Image.open(here / f"out.{extension}") as picture:
            exif = picture.getexif()
            assert picture.size == (36, 48) and exif.get(0x0110) == "Camera 1" and exif.get(0x0112, 1) == 1
    call = ("--model", "a.ckpt", "--input", "in.jpg", "--output", "out.jpg", "--overwrite")
    large = (here / "out.jpg").stat().st_size
    assert stylize(*call, "--quality", 30).code == 0 and (here / "out.jpg").stat().st_size < large / 2


def test_standard_input_and_output(here, project):
    command = [sys.executable, project / "scripts" / "stylize.py", "--device", "cpu", "--model", "a.ckpt"]
    done = subprocess.run(
        [*command, "--input", "-", "--output", "-"], cwd=here, input=(here / "in.jpg").read_bytes(), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    (here / "out.png").write_bytes(done.stdout)
    expected = Stylizer(here / "a.ckpt", "cpu")(read_image(here / "in.jpg"))
    assert (saved(here / "out.png") - expected).abs().max() < 1.5 / 255


def test_animation_and_video(stylize, here):
    frames = [Image.fromarray(np.roll(np.asarray(Image.open(here / "in.jpg")), step, 1)) for step in range(3)]
    frames[0].save(here / "in.gif", save_all=True, append_images=frames[1:], duration=[30, 40, 50], loop=0)
    answer = stylize("--model", "a.ckpt", "--input", "in.gif", "--temporal", "--stats")
    assert answer.code == 0 and answer.out.startswith("[1/1] in.gif (3 frames, flicker "), answer
    assert [frame.duration for frame in AnimationReader(here / "stylized" / "in_a.gif")] == [30, 40, 50]
    assert stylize("--model", "a.ckpt", "--input", "in.gif", "--output", "out.mp4").code == 0
    answer = stylize("--model", "a.ckpt", "--input", "out.mp4", "--output", "again.mkv", "--start", "0:00.03")
    assert answer.code == 0 and "(2 frames)" in answer.out
    answer = stylize("--model", "a.ckpt", "--input", "in.gif", "--output", "first.jpg")
    assert answer.code == 0 and "the first of 3 frames was taken" in answer.out


def test_a_broken_video_ends_with_code_1(stylize, here):
    frames = [Image.fromarray(np.random.default_rng(n).integers(0, 256, (64, 64, 3), np.uint8)) for n in range(12)]
    frames[0].save(here / "in.gif", save_all=True, append_images=frames[1:], duration=40)
    content = (here / "in.gif").read_bytes()
    (here / "cut.gif").write_bytes(content[: len(content) // 2])
    answer = stylize("--model", "a.ckpt", "--input", "cut.gif", "--output", "out.gif")
    if answer.code == 2:
        assert "cut.gif" in answer.error()
    else:
        assert answer.code == 1 and "what could be read is in out.gif" in answer.err


@pytest.fixture
def film(here):
    """Two seconds of noise in Matroska, which can be read up to where it is cut."""
    return noise_film(here / "film.mkv", 60)


def noise_film(path, frames):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.bit_rate = 64, 48, 2_000_000
        for number in range(frames):
            values = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())
    return path


def frames_of(path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_cut_video_ends_with_code_1(stylize, here, film):
    (here / "cut.mkv").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    answer = stylize("--model", "a.ckpt", "--input", "cut.mkv", "--output", "out.mkv")
    assert answer.code == 1 and "cut.mkv" in answer.err and "what could be read is in out.mkv" in answer.err
    assert 10 < frames_of(here / "out.mkv") < 60


def test_ctrl_c_leaves_a_playable_file(here, project):
    """A real signal to a real process; the file without a name yet says when frames are being written."""
    command = [sys.executable, project / "scripts" / "stylize.py", "--device", "cpu", "--model", "a.ckpt"]
    command += ["--stroke-scale", "0.1", "--input", noise_film(here / "long.mkv", 600), "--output", "out.mp4"]
    process = subprocess.Popen(
        command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    waited = threading.Event()
    while process.poll() is None and not any(here.glob(".*.mp4")):
        waited.wait(0.05)
    waited.wait(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and err.startswith("Stopped; 0 of 1 done")
    assert not list(here.glob(".*.mp4"))
    if (here / "out.mp4").exists():  # at least one frame was finished
        frames = frames_of(here / "out.mp4")
        assert 0 < frames < 600
        kept = frames - frames % 60
        advice = f"; --resume goes on after {kept} of them" if kept else ""
        assert err == f"Stopped; 0 of 1 done, and in out.mp4 the first {frames} frames{advice}.\n"
    else:
        assert err == "Stopped; 0 of 1 done.\n"


def test_formats_of_standard_output_and_of_folders(here, project, stylize):
    command = [sys.executable, project / "scripts" / "stylize.py", "--device", "cpu", "--model", "a.ckpt"]
    done = subprocess.run(
        [*command, "--input", "-", "--output", "-", "--format", ".JPG"],
        cwd=here, input=(here / "in.jpg").read_bytes(), capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout[:2] == b"\xff\xd8", done.stderr
    (here / "photos").mkdir()
    (here / "in.jpg").rename(here / "photos" / "in.png")  # whatever it is called
    assert stylize("--model", "a.ckpt", "--input", "photos", "--output", "out", "--format", "webp").code == 0
    assert Image.open(here / "out" / "in.webp").format == "WEBP"
    answer = stylize("--model", "a.ckpt", "--input", "photos", "--output", "-")
    assert "--output - holds one picture" in answer.error()


@pytest.mark.parametrize("ending", ["gif", "mp4", "png"])
def test_an_empty_file_is_called_empty(stylize, here, ending):
    (here / f"nothing.{ending}").touch()
    for more in ((), ("--output", f"out.{ending}")):
        said = stylize("--model", "a.ckpt", "--input", f"nothing.{ending}", *more).error()
        assert "is empty (0 bytes)" in said


def test_a_folder_of_everything(stylize, here):
    folder = here / "a folder ünd more"
    (folder / "sub").mkdir(parents=True)
    picture = Image.open(here / "in.jpg")
    picture.save(folder / "π photo.jpg")
    picture.save(folder / "sub" / "moves.gif", save_all=True, append_images=[picture.rotate(180)], duration=50)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "empty.mp4").touch()
    answer = stylize("--model", "a.ckpt", "--input", folder, "--output", "out")
    assert answer.code == 1 and answer.err.splitlines()[-1] == "2 of 4 failed, the others are done."
    found = sorted(path.relative_to(here / "out").as_posix() for path in (here / "out").rglob("*.*"))
    assert found == ["sub/moves.gif", "π photo.png"]


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "webp", "tif", "bmp", "avif", "tga", "ppm", "ico"])
def test_cut_pictures_of_every_format(stylize, here, kind):
    """Stylized or refused in one line, wherever it is cut and whatever its first bytes say."""
    Image.open(here / "in.jpg").save(here / f"whole.{kind}")
    content = (here / f"whole.{kind}").read_bytes()
    for number, damaged in enumerate(
        (content[:0], content[:7], content[: len(content) // 2], content[:-3], b"\xff" * 8 + content[8:])
    ):
        (here / f"bad.{kind}").write_bytes(damaged)
        answer = stylize("--model", "a.ckpt", "--input", f"bad.{kind}", "--output", f"{number}.png")
        assert answer.code == 0 or f"bad.{kind}" in answer.error()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("--mix 0.5,0.6 --model b.ckpt", "mix=0.5,0.6 sums to 1.1"),
        ("--mix 1,x --model b.ckpt", "'1,x': expected numbers like 0.6,0.4"),
        ("--mix 1,0", "2 shares for 1 models"),
        ("--strength 2", "strength=2.0: expected a number from 0 to 1"),
        ("--colors purple", "argument --colors: invalid choice: 'purple'"),
        ("--stroke-scale 0", "stroke_scale=0.0"),
        ("--mask nothing.png", "nothing.png is not there"),
        ("--mask a.ckpt", "a.ckpt is not a picture"),
        ("--tile 0", "tile=0"),
        ("--quality 0", "quality 0 is outside 1 to 100"),
        ("--max-pixels 1000", "48 x 36 pixels; the limit is 1,000 pixels: make it smaller first or raise max_pixels"),
        ("--output in.jpg --overwrite", "--output in.jpg is the input itself"),
        ("--output out.mp4", "--output out.mp4: expected one of .png"),
        ("--format docx", "--format docx: expected one of png, jpg"),
        ("--format jpg --output out.png", "--format jpg and --output out.png name two formats"),
        ("--start nonsense", "'nonsense' is no time"),
    ],
)
def test_wrong_calls(stylize, here, call, message):
    assert message in stylize("--model", "a.ckpt", "--input", "in.jpg", *call.split()).error()
    assert not (here / "out.mp4").exists()
