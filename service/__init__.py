"""The I/O around :mod:`olad_core`: HTTP front end, Redis-backed stores, worker loop, command line."""
