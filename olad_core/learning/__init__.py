"""The group's training step, and who teaches whom."""
