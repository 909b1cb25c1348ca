"""The objective of training and of optimisation: one module that compares a picture with a content and a style."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.features import LossNetwork
from fastnst.losses import functional

CONTENT_LAYERS = {"relu3_3": 1.0}
STYLE_LAYERS = {"relu1_2": 1.0, "relu2_2": 1.0, "relu3_3": 1.0, "relu4_3": 1.0}
HALO_WEIGHT = 4.0
"""Of the default objective. In cards without it there was no such term: :func:`current_arguments`."""
STATISTICS = ("style", "moments")
"""The terms that compare with the style picture what :func:`~fastnst.losses.functional.gram_and_moments` gives."""
MOTIF_SIZES = {"half": 2, "quarter": 4}
"""By what the sides are divided where the style is compared once more, in small: there a motif is as large to the loss
network as a stroke is in the whole (docs/objective.md)."""
CONTENT_DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "normalized": functional.normalized_content_loss,
    "relative": functional.relative_content_loss,
    "squared": functional.content_loss,
}
STYLE_DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "unsquared": functional.style_distance,
    "relative": functional.relative_style_loss,
    "squared": functional.style_loss,
}


View = Mapping[str, Tensor]
"""What a term of somebody's own sees of pictures: ``"picture"``, (N, 3, H, W) in [0, 1], and the features of its
``layers``, (N, C, h, w), by name."""


class Term(NamedTuple):
    """A term of somebody's own.

    Attributes:
        weight: at least 0.
        compare: called with the views of the stylized, the content and the style picture (of which N is 1), gives a
            scalar. Its attribute ``layers``, if it has one, names the layers of the loss network that it wants to see.
    """

    weight: float
    compare: Callable[[View, View, View], Tensor]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(getattr(self.compare, "layers", ()))


class Objective(NamedTuple):
    """The value of the objective and of each of its terms.

    Attributes:
        total: the sum of the weighted terms, a scalar.
        terms: ``{"content": ..., "style": ..., "moments": ..., "total_variation": ...}`` as the formulas give them,
            layers summed with their layer weights; and those of somebody's own.
        weighted: the same terms times their weights; they sum to ``total``.
        layers: every layer's own term before its weights: ``{"content/relu2_2": ..., "style/relu1_2": ...}``.
    """

    total: Tensor
    terms: dict[str, Tensor]
    weighted: dict[str, Tensor]
    layers: dict[str, Tensor]

    def plus(self, name: str, value: Tensor, weight: float) -> Objective:
        """With one more term."""
        more = {name: weight * value}
        terms = {**self.terms, name: value}
        return Objective(self.total + more[name], terms, {**self.weighted, **more}, self.layers)


class PerceptualLoss(nn.Module):
    """Content, style and total variation (Johnson, Alahi & Fei-Fei 2016, section 3.2).

    The style picture becomes Gram matrices and moments once, here, which stay as buffers. The defaults are those of
    training (`configs/loss/normalized.yaml`).

    Args:
        vgg: loss network; it must have been built with all layers named below.
        style: the style picture (1, 3, H, W), RGB in [0, 1], any size that the loss network takes; or several of them.
        content_layers: ``{layer: weight}``.
        style_layers: ``{layer: weight}``.
        content_weight, style_weight, moments_weight, tv_weight: weight of each term, at least 0.
        content_distance, style_distance: of :data:`CONTENT_DISTANCES` and :data:`STYLE_DISTANCES`; ``"squared"`` is the
            paper's, the others make a weight mean the same for every photograph, painting and loss network.
        tv_form: ``"squared"`` or ``"l1"``.
        tv_range: pixel range in which the total variation is measured: 1 for [0, 1]; 255 for the paper's.
        halo_weight: of :func:`~fastnst.losses.functional.halo_loss`, at least 0; at 0 the objective has no such term.
        motifs_weight: of the style's and the moments' distance at :data:`MOTIF_SIZES`, as far as the loss network's
            deepest layer has more than one pixel there; at least 0; at 0 the objective has no such term.
        terms: further ones, by name.
        stability_weight: of :func:`~fastnst.losses.functional.stability_loss`, which training adds, as it needs the
            network; at least 0.

    Raises:
        InputError: a weight is negative, content and style both count nothing, or a layer is missing.
    """

    def __init__(
        self,
        vgg: LossNetwork,
        style: Tensor | Sequence[Tensor],
        content_layers: Mapping[str, float] = CONTENT_LAYERS,
        style_layers: Mapping[str, float] = STYLE_LAYERS,
        content_weight: float = 1.0,
        style_weight: float = 3.0,
        moments_weight: float = 3.0,
        tv_weight: float = 1.0,
        content_distance: str = "normalized",
        style_distance: str = "unsquared",
        tv_form: str = "squared",
        tv_range: float = 1.0,
        halo_weight: float = HALO_WEIGHT,
        motifs_weight: float = 0.0,
        terms: Mapping[str, Term] = MappingProxyType({}),
        stability_weight: float = 0.0,
    ) -> None:
        super().__init__()
        weights = {
            "content": content_weight, "style": style_weight, "moments": moments_weight, "total_variation": tv_weight,
        }  # fmt: skip
        optional = {"halo": halo_weight, "motifs": motifs_weight}
        weights |= {name: weight for name, weight in optional.items() if weight != 0}
        if taken := [name for name in check_terms(terms) if name in (*weights, *optional)]:
            raise InputError(f"loss.terms.{taken[0]}: the objective has a term of this name; choose another.")
        weights |= {name: term.weight for name, term in terms.items()}
        values = [*weights.values(), stability_weight, *content_layers.values(), *style_layers.values()]
        if any(not isinstance(value, int | float) or not 0 <= value < math.inf for value in values):
            raise InputError(
                f"loss weights {weights}, {stability_weight!r}, {dict(content_layers)}, {dict(style_layers)}: "
                "expected numbers of at least 0."
            )
        if not isinstance(tv_range, int | float) or not 0 < tv_range < math.inf:
            raise InputError(f"loss.tv_range={tv_range!r}: expected a number above 0.")
        for name, value, known in (
            ("content_distance", content_distance, CONTENT_DISTANCES),
            ("style_distance", style_distance, STYLE_DISTANCES),
            ("tv_form", tv_form, ("squared", "l1")),
        ):
            if value not in known:
                raise InputError(f"loss.{name}={value!r}: expected one of {', '.join(known)}.")
        seen = {layer: None for term in terms.values() for layer in term.layers}
        missing = [layer for layer in (*content_layers, *style_layers, *seen) if layer not in vgg.layers]
        if missing:
            raise InputError(f"the loss network was built without {missing}: it has {vgg.layers}.")
        self.vgg = vgg
        self.content_layers = {layer: float(weight) for layer, weight in content_layers.items() if weight > 0}
        self.style_layers = {layer: float(weight) for layer, weight in style_layers.items() if weight > 0}
        self.stability_weight = float(stability_weight)
        self.weights = {name: float(weight) for name, weight in weights.items()}
        self.terms = {name: term.compare for name, term in terms.items() if term.weight > 0}
        self.term_modules = nn.ModuleList(one for one in self.terms.values() if isinstance(one, nn.Module))
        self.term_layers = list(seen)
        self.views: list[dict[str, str]] = []
        counts = content_weight and self.content_layers, (style_weight or moments_weight) and self.style_layers
        if not any((*counts, self.terms)):
            raise InputError("content and style weights are all zero: give one of them, and a layer, a weight above 0.")
        self.content_distance, self.style_distance = content_distance, style_distance
        self.tv_form = tv_form
        self.tv_range = tv_range
        styles = [style] if isinstance(style, Tensor) else style
        sizes = MOTIF_SIZES if "motifs" in self.weights else {}
        self.motif_sizes = {size: part for size, part in sizes.items() if all(self._fits(one, part) for one in styles)}
        self.motif_layers = {
            f"{size}/{layer}": weight for size in self.motif_sizes for layer, weight in self.style_layers.items()
        }
        described: dict[str, list[Tensor]] = {}
        for picture in styles:
            if min(picture.shape[-2:]) < vgg.minimum_size:
                size = f"{picture.shape[-1]}x{picture.shape[-2]}"
                raise InputError(
                    f"the style picture is {size}: the loss network's {vgg.layers[-1]} needs at least "
                    f"{vgg.minimum_size}x{vgg.minimum_size} pixels; give a larger picture or style.size."
                )
            with torch.no_grad():
                for layer, features in self._features(picture, list(self.style_layers)).items():
                    for term, found in zip(STATISTICS, functional.gram_and_moments(features), strict=True):
                        described.setdefault(_buffer(term, layer), []).append(found)
                if self.terms:
                    view = {"picture": picture, **(vgg(picture, self.term_layers) if self.term_layers else {})}
                    self.views.append({key: _buffer(f"view_{len(self.views)}", key) for key in view})
                    for key, value in view.items():
                        self.register_buffer(self.views[-1][key], value)
        for name, of_all in described.items():
            self.register_buffer(name, torch.cat(of_all))

    def _fits(self, pictures: Tensor, part: int) -> bool:
        """Whether the deepest layer has more than one pixel of the smaller pictures: of one there is no deviation."""
        return min(pictures.shape[-2:]) // part >= 2 * self.vgg.minimum_size

    def _features(self, pictures: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Those of the loss network, and ``"half/relu1_2"`` and so on, the style layers' of the smaller pictures."""
        if layers == []:
            return {}
        features = self.vgg(pictures, layers)
        for size, part in self.motif_sizes.items() if self.style_layers else ():
            if self._fits(pictures, part):
                small = self.vgg(F.avg_pool2d(pictures, part), list(self.style_layers))
                features |= {f"{size}/{layer}": values for layer, values in small.items()}
        return features

    def target_gram(self, layer: str, style: int = 0) -> Tensor:
        """A style picture's Gram matrix (C, C) at ``layer``."""
        return self.get_buffer(_buffer("style", layer))[style]

    @torch.no_grad()
    def content_features(self, content: Tensor) -> dict[str, Tensor]:
        """What a stylized picture is compared with: the content layers' features of ``content`` (N, 3, H, W)."""
        layers = [*self.content_layers, *self.term_layers]
        features = self.vgg(content, layers) if layers else {}
        return {**features, "picture": content} if self.terms or "halo" in self.weights else features

    def forward(self, stylized: Tensor, content: Tensor | Mapping[str, Tensor], style: int = 0) -> Objective:
        """Compare stylized pictures with their content pictures and with the style.

        Args:
            stylized: (N, 3, H, W), RGB in [0, 1] (values outside are measured as they are).
            content: (N, 3, H, W), or what :meth:`content_features` made of it.
            style: which of several style pictures.
        """
        targets = self.content_features(content) if isinstance(content, Tensor) else content
        return self._compare(stylized, self._features(stylized), targets, style)

    def each(self, stylized: Tensor, content: Tensor, styles: Sequence[int]) -> list[Objective]:
        """The objective of each of N pictures by itself, with the style of each; otherwise as :meth:`forward`."""
        targets, features = self.content_features(content), self._features(stylized)

        def one_by_one(maps: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
            # Slices would each have a gradient as large as the whole.
            split = {layer: values.split(1) for layer, values in maps.items()}
            return [{layer: values[n] for layer, values in split.items()} for n in range(len(styles))]

        each = zip(stylized.split(1), one_by_one(features), one_by_one(targets), styles, strict=True)
        return [self._compare(*one) for one in each]

    def _compare(
        self, stylized: Tensor, features: Mapping[str, Tensor], targets: Mapping[str, Tensor], style: int
    ) -> Objective:
        compare_content = CONTENT_DISTANCES[self.content_distance]
        layers, terms = {}, {name: stylized.new_zeros(()) for name in ("content", *STATISTICS)}
        for layer, weight in self.content_layers.items():
            layers[f"content/{layer}"] = compare_content(features[layer], targets[layer])
            terms["content"] = terms["content"] + weight * layers[f"content/{layer}"]
        for layer, weight in self.style_layers.items():
            for term, distance in self._distances(features[layer], layer, style).items():
                layers[f"{term}/{layer}"] = distance
                terms[term] = terms[term] + weight * distance
        if "motifs" in self.weights:
            terms["motifs"] = stylized.new_zeros(())
        for layer, weight in self.motif_layers.items():
            if layer in features:
                gram, moments = self._distances(features[layer], layer, style).values()
                layers[f"motifs/{layer}"] = gram + moments
                terms["motifs"] = terms["motifs"] + weight * layers[f"motifs/{layer}"]
        terms["total_variation"] = functional.total_variation(self.tv_range * stylized, self.tv_form)
        if "halo" in self.weights:
            terms["halo"] = functional.halo_loss(stylized, targets["picture"])
        if self.terms:
            layers_and_picture = ("picture", *self.term_layers)
            seen = {**features, "picture": stylized}, targets
            views = [{key: one[key] for key in layers_and_picture} for one in seen]
            views.append({key: self.get_buffer(name) for key, name in self.views[style].items()})
        for name, compare in self.terms.items():
            terms[name] = compare(*views)
            if not isinstance(terms[name], Tensor) or terms[name].ndim > 0:
                what = getattr(terms[name], "shape", type(terms[name]).__name__)
                raise InputError(f"loss.terms.{name} gives {what}: expected a scalar tensor.")
        weighted = {name: self.weights[name] * value for name, value in terms.items()}
        return Objective(sum(weighted.values(), stylized.new_zeros(())), terms, weighted, layers)

    def _distances(self, features: Tensor, layer: str, style: int) -> dict[str, Tensor]:
        """Of the Gram matrix and of the moments."""
        compare = STYLE_DISTANCES[self.style_distance]
        return {
            term: compare(value, self.get_buffer(_buffer(term, layer))[style])
            for term, value in zip(STATISTICS, functional.gram_and_moments(features), strict=True)
        }


def _buffer(term: str, layer: str) -> str:
    """Under which name a style's statistics are kept: torch takes no dots in one."""
    return f"{term}_{layer.replace('.', '/')}"


def check_terms(terms: Mapping[str, Any]) -> Mapping[str, Term]:
    """See that terms are made, and their weights numbers.

    Raises:
        InputError: they are the settings of some, as the card of a model has them, which nobody makes anything of.
    """
    for name, term in terms.items():
        if not isinstance(term, Term):
            raise InputError(
                f"the objective has a term of somebody's own, {name}: it is made of the settings of a command only, "
                "not of a model's card."
            )
        if not isinstance(term.weight, int | float) or not 0 <= term.weight < math.inf:
            raise InputError(f"loss.terms.{name}.weight={term.weight!r}: expected a number of at least 0.")
    return terms


def mean(objectives: Sequence[Objective]) -> Objective:
    """The objective of several pictures, from that of each."""

    def of(values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.stack([one[name] for one in values]).mean() for name in values[0]}

    total = torch.stack([one.total for one in objectives]).mean()
    return Objective(
        total,
        of([one.terms for one in objectives]),
        of([one.weighted for one in objectives]),
        of([one.layers for one in objectives]),
    )


def current_arguments(loss: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :class:`PerceptualLoss` from those of any version, as the cards of older models have them.

    Until 0.1 ``normalized`` stood for both distances: true for ``"relative"``, false for ``"squared"``.
    """
    arguments = {"halo_weight": 0.0, **loss}
    if "normalized" in arguments:
        distance = "relative" if arguments.pop("normalized") else "squared"
        arguments |= {"content_distance": distance, "style_distance": distance, "moments_weight": 0.0}
    return arguments
