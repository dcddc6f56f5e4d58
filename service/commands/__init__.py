"""The commands of ``olad``, one module each."""
