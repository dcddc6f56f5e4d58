"""Prequential evaluation: a stream is played through the engine, to the byte the same each time."""
