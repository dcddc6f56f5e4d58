"""Where tests compute: on the GPU where there is one, as the service does, and there to the byte."""

import torch

from service.worker.determinism import compute_repeatably

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
compute_repeatably(DEVICE.type == "cuda")
