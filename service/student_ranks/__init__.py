"""A worker whose students are spread over several processes: see ``docs/decisions/0070-ranks-for-students.md``."""
