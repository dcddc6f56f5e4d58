"""Growing a forest in slices: one round of boosting at a time, so that no event waits for the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import xgboost

from olad_core.graph.arrays import Float32s
from olad_core.trees.forest import Forest
from olad_core.trees.table import averaged_features

View = Literal["both", "own", "all"]
"""What rounds see: every column (``all``); all but the means of the neighbours' features (``own``); both by turns."""


@dataclass(frozen=True)
class GrowthConfig:
    """How a forest is grown.

    Attributes:
        rounds: of boosting; each adds a tree for every class.
        trees: at most: with many classes there are fewer rounds.
        shrinkage: what each tree's leaves are multiplied by.
        depth: of a tree at most.
        columns: share of the columns that each split chooses from.
        own_depth: of a tree that does not see the means of the neighbours' features.
        own_columns: share of the columns that each split of such a tree chooses from.
        seed: of the choice of columns.
    """

    rounds: int = 80
    trees: int = 1920
    shrinkage: float = 0.15
    depth: int = 5
    columns: float = 0.3
    own_depth: int = 6
    own_columns: float = 0.6
    seed: int = 0

    def rounds_of(self, classes: int) -> int:
        """How many rounds a forest of so many classes has."""
        return max(1, min(self.rounds, self.trees // classes))


UNSEEN = 1e-6
"""Weight of a column that a split does not choose: the library demands a weight above zero."""


class Growth:
    """A forest that is being grown on a fixed table (Chen & Guestrin, "XGBoost", 2016, algorithm 1 with histograms).

    Where a class depends on several features of a node together, no single one of them shows it, and splits among many
    columns do not find them. So rounds of the view ``own`` do not see the means of the neighbours' features.

    One thread and a fixed seed: the same table leads to the same trees.

    Args:
        table: float32 ``[n, columns]``; NaN where a value is missing.
        label: ``[n]``, class numbers.
        classes: C, at least 2.
        features: how many of the columns are features of the nodes.
        config: how it is grown.
        view: what its rounds see.
    """

    def __init__(
        self,
        table: Float32s,
        label: npt.NDArray[np.integer],
        classes: int,
        features: int,
        config: GrowthConfig | None = None,
        view: View = "both",
    ) -> None:
        self._config, self._view = config or GrowthConfig(), view
        self._columns, self._classes, self._features = table.shape[1], classes, features
        self._whole = self._config.rounds_of(classes)
        means = averaged_features(features)
        self._all = np.ones(table.shape[1], np.float32)
        self._own = self._all.copy()
        self._own[features : features + means] = UNSEEN
        self._has_means = means > 0
        self._data = xgboost.QuantileDMatrix(table, label.astype(np.float32), nthread=1, missing=np.nan)
        self._booster = xgboost.Booster(
            {
                "objective": "multi:softprob",
                "num_class": classes,
                "base_score": 0.0,
                "eta": self._config.shrinkage,
                "max_depth": self._config.depth,
                "colsample_bynode": self._config.columns,
                "tree_method": "hist",
                "nthread": 1,
                "seed": self._config.seed,
                "verbosity": 0,
            },
            [self._data],
        )
        self._rounds = 0

    @property
    def finished(self) -> bool:
        """Whether all rounds have been taken."""
        return self._rounds >= self._whole

    def advance(self, rounds: int = 1) -> bool:
        """Take so many rounds of those that are left; whether it is finished."""
        for _ in range(min(rounds, self._whole - self._rounds)):
            if self._has_means:
                self._choose_columns(own=self._view == "own" or (self._view == "both" and self._rounds % 2 == 1))
            self._booster.update(self._data, self._rounds)
            self._rounds += 1
        return self.finished

    def _choose_columns(self, *, own: bool) -> None:
        config = self._config
        self._data.set_info(feature_weights=self._own if own else self._all)
        depth, columns = (config.own_depth, config.own_columns) if own else (config.depth, config.columns)
        self._booster.set_param({"max_depth": depth, "colsample_bynode": columns})

    def forest(self) -> Forest:
        """The trees grown so far."""
        # A round at a time: reading the whole at once would keep other threads waiting.
        models = (self._booster[at : at + 1].save_raw("json") for at in range(self._rounds))
        return Forest.of_models(models, self._columns, self._classes, self._features)
