"""One file for each task: what is predicted, from the head of a student to the answer."""
