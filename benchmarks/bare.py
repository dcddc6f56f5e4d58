"""What to compare the API with: the least that FastAPI can do for the same requests, in one process."""

from __future__ import annotations

import os
import socket
import sys
from typing import Annotated, Literal

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field
from redis.asyncio import Redis

ROWS = "bare"
"""Hash that GET reads."""


class Edge(BaseModel):
    """An edge event with the same limits as the service's."""

    op: Literal["upsert_edge"]
    src: Annotated[str, Field(min_length=1, max_length=256)]
    dst: Annotated[str, Field(min_length=1, max_length=256)]
    weight: Annotated[float, Field(gt=0)] | None = None
    ts: float | None = None


def create_app() -> FastAPI:
    """Three routes without anything around them."""
    app = FastAPI()
    redis = Redis.from_url(os.environ["OLAD_REDIS_URL"])

    @app.get("/live")
    async def live() -> bool:
        return True

    @app.post("/events")
    async def post_events(events: list[Edge]) -> dict[str, int]:
        return {"accepted": len(events)}

    @app.get("/predict/{node}")
    async def get_prediction(node: str) -> dict[str, str | int]:
        row = await redis.hget(ROWS, node)
        return {"node": node, "bytes": len(row or b"")}

    return app


if __name__ == "__main__":
    config = uvicorn.Config(create_app(), access_log=False, log_config=None)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
