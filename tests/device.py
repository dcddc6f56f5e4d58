"""Where tests compute: on the GPU where there is one, as the service does."""

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
