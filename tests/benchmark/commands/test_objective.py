"""Which models are measured with one objective, and on which style picture."""

import pytest
import torch

from fastnst.benchmark.commands.objective import objective_of, same_objective
from fastnst.errors import InputError
from fastnst.models.model_file import SHIPPED, Model, load_model
from fastnst.models.styles import pick


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


def test_a_style_taken_from_many_is_measured_on_its_own_picture():
    many = load_model(SHIPPED / "paintings.ckpt")
    models = [load_model(SHIPPED / "candy.ckpt"), pick(many, {"candy": 1.0}), pick(many, {"ink": 1.0})]
    candy, taken, ink = (objective_of(one.card, None, torch.device("cpu")).target_gram("relu1_2") for one in models)
    assert torch.equal(candy, taken) and not torch.allclose(candy, ink)
    with pytest.raises(InputError, match=r"the style picture of paintings that the model was trained on is not here"):
        objective_of(many.card, None, torch.device("cpu"))
