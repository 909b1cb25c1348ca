"""Which models are measured with one objective."""

import pytest

from fastnst.benchmark.commands.objective import same_objective
from fastnst.errors import InputError
from fastnst.models.model_file import Model


def model(**loss) -> Model:
    settings = {"loss": loss, "loss_network": "vgg16", "style": {"name": "mosaic", "image": loss.get("image")}}
    return Model(None, {"settings": settings}, None)


def test_cards_of_older_versions_tell_of_the_same_objective():
    same_objective({"a": model(tv_weight=1.0), "b": model(tv_weight=1.0, terms={})})
    relative = {"content_distance": "relative", "style_distance": "relative", "moments_weight": 0.0}
    same_objective({"a": model(normalized=True), "b": model(**relative, terms={})})
    for other in (model(tv_weight=2.0), model(tv_weight=1.0, terms={"x": {"_target_": "my_file.Term"}})):
        with pytest.raises(InputError, match=r"other objectives \(loss differ\)"):
            same_objective({"a": model(tv_weight=1.0), "b": other})
