"""Predictions of a group of students."""

import numpy as np
import numpy.typing as npt


def saying(classes: list[list[int]]) -> npt.NDArray[np.float32]:
    """Probabilities ``[n, G, 3]`` of students that are quite sure of these classes ``[n, G]``."""
    probabilities: npt.NDArray[np.float32] = (0.8 * np.eye(3)[np.array(classes)] + 0.2 / 3).astype(np.float32)
    return probabilities
