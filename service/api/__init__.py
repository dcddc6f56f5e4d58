"""The HTTP front end: a FastAPI application, one router file per resource."""
