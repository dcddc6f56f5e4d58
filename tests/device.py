"""Where tests compute: on the GPU where there is one, as the service does, and there to the byte.

Every student can be built once this is imported.
"""

import torch

from service.worker.determinism import compute_repeatably
from service.worker.temporal_library import import_temporal_library

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
compute_repeatably(DEVICE.type == "cuda")
import_temporal_library()
