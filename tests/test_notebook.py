"""docs/first_style.ipynb from top to bottom, with fewer steps."""

import ast
import json

from PIL import Image

from tests.conftest import PROJECT, _unchanged

NOTEBOOK = json.loads((PROJECT / "docs" / "first_style.ipynb").read_text(encoding="utf-8"))


def run_cell(source: str, names: dict[str, object]) -> object:
    """As a notebook does: the value of a last line that is an expression is what is shown."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_notebook(tmp_path, monkeypatch, capsys):
    sources = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert sources[0].startswith("STEPS = 100 ") and not any(cell.get("outputs") for cell in NOTEBOOK["cells"])
    sources[0] = "STEPS = 3"
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    with _unchanged():
        shown = [run_cell(source, names) for source in sources]
    pictures = [value for value in shown if isinstance(value, Image.Image)]
    assert len(pictures) == 4 and pictures[1].size == pictures[2].size == pictures[3].size
    assert (tmp_path / "outputs" / "notebook" / "model.ckpt").is_file() and "3/3" in capsys.readouterr().out
