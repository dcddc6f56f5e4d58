"""Baselines of river, a library of learning from streams: one example at a time, on the table of the boosted trees."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from service.evaluation.baselines.follower import Example, Floats, Known
from service.evaluation.configurations import WrongConfiguration


class RiverRule:
    """A classifier of river behind its standard scaler, learning each label as it comes.

    Its seed is 0 where it takes one. A classifier of two classes is one against the rest.

    Args:
        name: dotted name in river, such as ``tree.HoeffdingTreeClassifier``.

    Raises:
        WrongConfiguration: river is not installed, or has no such classifier.
    """

    learns: ClassVar[bool] = True
    looks_around: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self._model = _model(name)
        self._is_trained = False

    def predict(self, known: Known) -> Floats:
        """Probabilities; no answer before the first label."""
        found = np.full((len(known), len(known.frequency)), np.nan)
        if not self._is_trained:
            return found
        for place, row in enumerate(_rows(known)):
            shares: dict[int, float] = self._model.predict_proba_one(row)
            total = sum(shares.values())
            if total > 0:
                found[place] = 0
                for label, share in shares.items():
                    found[place, label] = share / total
        return found

    def learn(self, examples: Sequence[Example], arrivals: int) -> None:
        """Learn the examples in the order of their labels."""
        del arrivals
        for example in examples:
            self._model.learn_one(_rows(example.known)[0], example.label)
            self._is_trained = True


def _model(name: str) -> Any:
    module, _, kind = name.rpartition(".")
    try:
        base, multiclass, preprocessing = (
            importlib.import_module(f"river.{part}") for part in ("base", "multiclass", "preprocessing")
        )
    except ImportError:
        raise WrongConfiguration(
            f"river:{name} needs river, which is not installed: pip install 'olad[evaluate]'"
        ) from None
    try:
        found: Any = getattr(importlib.import_module(f"river.{module}" if module else "river"), kind)
    except (ImportError, AttributeError):
        found = None
    is_classifier = inspect.isclass(found) and issubclass(found, base.Classifier)
    if not is_classifier:
        raise WrongConfiguration(
            f"river has no classifier {name}: give one such as river:tree.HoeffdingTreeClassifier"
        ) from None
    try:
        model = found(seed=0) if "seed" in inspect.signature(found).parameters else found()
    except TypeError as error:
        raise WrongConfiguration(f"river:{name} cannot be built without arguments: {error}") from None
    classifier = model if model._multiclass else multiclass.OneVsRestClassifier(model)
    return preprocessing.StandardScaler() | classifier


def _rows(known: Known) -> list[dict[str, float]]:
    """One mapping a node: features, degrees and labels of neighbours by name."""
    classes = len(known.frequency)
    near = [f"near-{place // classes}-{place % classes}" for place in range(known.near.shape[1])]
    names = [f"x{place}" for place in range(known.features.shape[1])]
    names += [f"degree-{place}" for place in range(known.degrees.shape[1])] + near
    values = np.concatenate([known.features, known.degrees, known.near], axis=1)
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]
