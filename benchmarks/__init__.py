"""Claims with numbers: one small module each."""
