"""The ranks of one graph in processes of their own, on torch.distributed."""
