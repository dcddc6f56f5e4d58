"""Online adversarial distillation: what the students learn from labels and from each other."""
