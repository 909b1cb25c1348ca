"""What every preview shows."""

from fastnst.training.callbacks.previews import fixed_pictures


def test_fixed_pictures(photos, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no")
    pictures = fixed_pictures([*sorted(photos.iterdir())[:2], tmp_path / "broken.png"], 40)
    assert list(pictures) == ["photo0", "photo1", "grey", "white", "ramp"]
    assert all(picture.shape == (3, 40, 40) for picture in pictures.values())
    assert pictures["grey"].unique().tolist() == [0.5] and pictures["white"].unique().tolist() == [1.0]
    ramp = pictures["ramp"]
    assert ramp[0, 0, 0] == 0 and ramp[0, 0, -1] == 1 and (ramp[..., 1:] > ramp[..., :-1]).all()
