"""Blocks of sampled or whole neighbourhoods, and aggregation over them: used by training and by serving."""
