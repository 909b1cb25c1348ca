"""Every page's painter that a test makes is closed after it."""

import pytest

from fastnst.demo.atelier import Atelier


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Else its folder is deleted in some later test, with a ResourceWarning on that one's stderr."""
    made: list[Atelier] = []
    begin = Atelier.__init__

    def init(self, *arguments, **options):
        begin(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr(Atelier, "__init__", init)
    yield
    for atelier in made:
        atelier.close()
