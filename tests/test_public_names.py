"""What `import fastnst` gives: every public name, from where it lives, and nothing heavy before it is asked for."""

import importlib
import subprocess
import sys

import pytest

import fastnst


def test_every_public_name_is_there_and_says_what_it_is():
    assert len(fastnst.__all__) >= 13 and set(fastnst.__all__) == {*fastnst._HOMES, "__version__"} == set(dir(fastnst))
    for name in set(fastnst.__all__) - {"__version__"}:
        value = getattr(fastnst, name)
        assert value is getattr(importlib.import_module(value.__module__), name) and value.__doc__
    with pytest.raises(AttributeError, match=r"no attribute 'Stylist'.*fastnst\.__all__"):
        fastnst.Stylist  # noqa: B018


def test_the_import_is_quick():
    loaded = "import sys, fastnst; print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout == "[]\n"
