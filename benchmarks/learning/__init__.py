"""How well the group learns: methods side by side on streams and splits, same students, steps and seeds."""
