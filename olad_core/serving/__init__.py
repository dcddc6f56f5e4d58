"""Versions, embeddings kept exact, the choice of the served student, and publication."""
