"""A linear discriminant on propagated inputs, a member of the group that learns from each label in closed form."""
