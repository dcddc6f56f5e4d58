"""The OpenAPI document: what the routes take and answer, with examples, for people and for generators of clients."""
