"""Publishing never overwrites."""

import pytest

from fastnst.errors import InputError
from fastnst.models.publishing import check_publishable, publish


def test_publish_never_overwrites(tmp_path):
    model, folder = tmp_path / "model.ckpt", tmp_path / "checkpoints"
    model.write_bytes(b"first")
    assert publish(model, "mine", folder) == folder / "mine.ckpt"
    model.write_bytes(b"second")
    with pytest.raises(InputError, match=r"mine\.ckpt exists and is not replaced.*model itself is saved as"):
        publish(model, "mine", folder)
    assert (folder / "mine.ckpt").read_bytes() == b"first"
    for name in ("", ".", "..", "a/b", "/abs", 7):
        with pytest.raises(InputError, match="expected a plain name"):
            check_publishable(name, folder)
