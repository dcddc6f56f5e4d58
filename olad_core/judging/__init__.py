"""How good each student is, and what was served: given arrays, it asks nobody."""
