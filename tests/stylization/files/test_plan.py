"""Where results go: many files are as quick to plan, each for itself, as few."""

from pathlib import Path, PurePath

from fastnst.stylization.files.plan import pairs


def test_the_work_for_a_file_does_not_grow_with_their_number(tmp_path, monkeypatch):
    """118,000 photographs compared with each other would be 10^10 comparisons before the first is painted."""
    for number in range(200):
        (tmp_path / f"{number}.jpg").touch()
        (tmp_path / f"{number // 2}.bmp").touch()
    compared, equal = [], PurePath.__eq__

    def counted(self, other):
        compared.append(self)
        return equal(self, other)

    monkeypatch.setattr(PurePath, "__eq__", counted)
    work = pairs(tmp_path, Path("out"), "mosaic")
    monkeypatch.undo()
    assert len(work) == 300 and len(compared) < 20 * len(work)
    outputs = dict(work)
    assert outputs[tmp_path / "0.jpg"] == Path("out/0.jpg.png") and outputs[tmp_path / "0.bmp"] == Path("out/0.bmp.png")
    assert outputs[tmp_path / "150.jpg"] == Path("out/150.png")
