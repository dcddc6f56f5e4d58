"""Examples of requests and of good answers. A test holds each to its schema."""

from __future__ import annotations

from typing import Any

import msgspec

Json = Any

POSITION = "1763900000000-0"

BATCH = [
    {"op": "upsert_node", "id": "p1", "x": [0.5, 0.0, 1.0], "label": "physics"},
    {"op": "upsert_edge", "src": "p1", "dst": "p2", "ts": 17.0},
    {"op": "label", "id": "p2", "label": "biology"},
]
BATCH_LINES = "\n".join(msgspec.json.encode(event).decode() for event in BATCH)
LEAST = [
    {"op": "upsert_node", "id": 7},
    {"op": "upsert_edge", "src": 7, "dst": "p2"},
    {"op": "remove_edge", "src": 7, "dst": "p2"},
    {"op": "remove_node", "id": 7},
]
ACCEPTED = {"position": POSITION, "accepted": 3}
REJECTED = {
    "rejected": [
        {
            "position": POSITION,
            "index": 4,
            "op": "remove_edge",
            "reason": "unknown-edge",
            "detail": "there is no edge from 'p1' to 'p9'",
            "content": None,
        }
    ],
    "next": None,
    "total": 1,
    "oldest": POSITION,
    "rejected_events": 1,
}

_MADE_BY = {"student": "sage", "model_version": 7, "position": POSITION, "behind": 0}
PREDICTION = {
    "node": "p1",
    "label": "physics",
    "probabilities": {"physics": 0.75, "biology": 0.25},
    "disagreement": 0.125,
    **_MADE_BY,
}
NODES = {"nodes": ["p1", 99]}
PREDICTIONS = {"predictions": [PREDICTION, {"node": 99, "label": None, "error": "not-found", **_MADE_BY}]}

TRIED = {"events": [{"op": "remove_edge", "src": "p1", "dst": "p2"}, BATCH[2]], "nodes": ["p1", 99]}
WHAT_IF = {
    "predictions": [
        {"node": "p1", "label": "biology", "probabilities": {"physics": 0.4, "biology": 0.6}, "disagreement": 0.125},
        {"node": 99, "label": None, "error": "not-found"},
    ],
    "rejected": [
        {
            "index": 0,
            "op": "remove_edge",
            "reason": "unknown-edge",
            "detail": "there is no edge from 'p1' to 'p2'",
        }
    ],
    **_MADE_BY,
}

EDGE_PREDICTION = {
    "src": "p1",
    "dst": "p2",
    "type": "edge",
    "task": "fraud",
    "label": "ok",
    "probabilities": {"ok": 0.75, "fraud": 0.25},
    "arrived": False,
    "at_arrival": None,
    "truth": None,
    "model_version": 640,
    "position": POSITION,
    "behind": 0,
}

EDGE_LIST = {
    "edges": [{"id": "e-9", "src": "p1", "dst": "p2", "probability": 0.75, "label": "fraud"}],
    "type": "paid",
    "task": "fraud",
    "compared": 500,
    "waiting": 500,
    "model_version": 640,
    "position": POSITION,
    "behind": 0,
}
EDGES = {"edges": [{"src": "p1", "dst": "p2", "x": [25.0, 1.0]}, {"id": "e-9", "type": "paid"}]}
EDGE_PREDICTIONS = {
    "predictions": [
        {name: value for name, value in EDGE_PREDICTION.items() if name not in {"position", "behind"}},
        {"id": "e-9", "type": "paid", "label": None, "error": "unknown-edge"},
    ],
    "position": POSITION,
    "behind": 0,
}
EMBEDDING = {"node": "p1", "embedding": [0.125, -0.5, 1.75], **_MADE_BY, "student": "sage"}
EMBEDDINGS = {"embeddings": [EMBEDDING, {**EMBEDDING, "node": 99, "embedding": None, "error": "not-found"}]}

_BY_TASK = {"task": "next", "model_version": 640, "position": POSITION, "behind": 0}
LINK = {"src": "p1", "dst": "p2", "type": "edge", "score": 0.875, "linked": False, **_BY_TASK}
PARTNERS = {
    "node": "p1",
    "type": "edge",
    "links": [{"node": "p2", "score": 0.875, "linked": False}, {"node": "99", "score": 0.5, "linked": False}],
    "scored": 812,
    "all": True,
    **_BY_TASK,
}

EXPLAINED = {
    "node": "p1",
    "label": "physics",
    "probability": 0.75,
    "effects": [
        {"kind": "edge", "node": "p2", "type": "cites", "change": -0.21},
        {"kind": "label", "node": "p2", "label": "physics", "change": -0.14},
        {"kind": "features", "node": "p1", "change": 0.05},
    ],
    "count": 9,
    "total": -0.4,
    "interaction": -0.06,
    **_MADE_BY,
}

EXPLAINED_EDGE = {
    "src": "p1",
    "dst": "p2",
    "type": "paid",
    "task": "fraud",
    "label": "fraud",
    "probability": 0.75,
    "arrived": False,
    "effects": [
        {"kind": "labels", "end": "source", "change": -0.42},
        {"kind": "joined", "end": "target", "change": -0.11},
        {"kind": "weight", "change": 0.03},
    ],
    "total": -0.6,
    "interaction": -0.1,
    "labels": [{"id": "e-9", "src": "p1", "dst": "99", "label": "fraud", "change": -0.2}],
    "count": 12,
    "model_version": 640,
    "position": POSITION,
    "behind": 0,
}

NEIGHBOURS = {
    "node": "p1",
    "label": None,
    "edges": [
        {"node": "p2", "direction": "in", "weight": 2.0, "type": "cites", "label": "physics"},
        {"node": "99", "direction": "out", "weight": 1.0, "type": "cites"},
    ],
    "count": 2,
    "position": POSITION,
    "behind": 0,
}
KEY = {"name": "dashboard", "scopes": ["read"]}
NODE_LIST = {
    "nodes": [
        {"node": "p1", "label": "physics", "probability": 0.75, "disagreement": 0.125},
        {"node": "99", "label": "biology", "probability": 0.25, "disagreement": 0.5},
    ],
    "marked": 12,
    **_MADE_BY,
}

SCHEMA_CHANGE = {
    "feature_width": 500,
    "classes": ["a", "b"],
    "directed": False,
    "edge_lifetime": None,
    "ts_ahead_max": None,
    "decisions": {"b": {"threshold": 0.2, "cost": None, "top_share": None}},
    "node_types": {},
    "tasks": {},
    "edge_types": {
        "cites": {"directed": True, "lifetime": None, "ids": False, "feature_width": None},
        "reviewed": {"directed": None, "lifetime": None, "ids": True, "feature_width": 3},
    },
}
SCHEMA = {**SCHEMA_CHANGE, "feature_width_held": True}
CLOCK = {"time": 2010.0}
CLOCK_SET = {"position": POSITION}

_PHYSICS = {"precision": 0.86, "recall": 0.9, "f1": 0.88, "average_precision": 0.93}
_BIOLOGY = {"precision": 0.79, "recall": 0.72, "f1": 0.75, "average_precision": 0.82}
REPORT = {
    "scored": 1800,
    "classes": [
        {"name": "physics", "support": 1200, "predicted": 1256, "whole": _PHYSICS, "recent": _PHYSICS},
        {"name": "biology", "support": 600, "predicted": 544, "whole": _BIOLOGY, "recent": _BIOLOGY},
    ],
    "unlisted": 0,
    "commonest": "physics",
    "commonest_accuracy": 0.667,
    "commonest_macro_f1": 0.4,
    "confusion": None,
}
CONFUSION = {"classes": ["physics", "biology"], "further": False, "counts": [[1080, 120], [168, 432]]}
LEAD = {
    "metric": "accuracy",
    "declared": False,
    "lower_is_better": False,
    "value": 0.84,
    "recent": 0.86,
    "baseline": 0.667,
    "baseline_recent": 0.67,
    "baseline_of": "always 'physics'",
}
STUDENT = {
    "name": "sage",
    "architecture": "sage",
    "parameters": 72_451,
    "score": {
        "scored": 1800,
        "accuracy": 0.84,
        "macro_f1": 0.79,
        "log_loss": 0.45,
        "accuracy_recent": 0.86,
        "macro_f1_recent": 0.8,
        "log_loss_recent": 0.41,
        "calibration_error_recent": 0.03,
    },
    "lead": LEAD,
    "report": REPORT,
    "temperature": 1.2,
    "served": True,
    "served_since_version": 3,
}
DECISION = {
    "number": 31,
    "position": POSITION,
    "applied_events": 40_000,
    "kind": "student-switched",
    "student": "sage",
    "version": 3,
    "reason": "switched from gcn to sage: expected accuracy 2.0 points higher",
    "numbers": {"standing_gcn": -0.019, "standing_sage": 0.001, "margin": 0.005},
}
COMBINED = {
    "score": STUDENT["score"],
    "lead": LEAD,
    "exponents": {"gcn": 0.21, "sage": 0.44, "trees": 0.38, "linear": 0.17},
    "best": "sage",
    "pool_share": 0.81,
    "mean_share": 0.18,
    "best_share": 0.01,
    "served": False,
    "served_since_version": None,
    "trees": {
        "score": STUDENT["score"],
        "lead": LEAD,
        "trees": 120,
        "labels": 1600,
        "labels_seen": 1800,
        "served": False,
    },
    "linear": {
        "score": STUDENT["score"],
        "lead": LEAD,
        "columns": 44,
        "fits": True,
        "labels": 1700,
        "labels_seen": 1800,
        "served": False,
    },
}
STUDENTS = {"students": [STUDENT], "combined": COMBINED, "decisions": [DECISION]}
PAST_SCORE = {
    "scored": 1800,
    "accuracy": 0.88,
    "macro_f1": 0.86,
    "accuracy_recent": 0.91,
    "macro_f1_recent": 0.89,
    "log_loss_recent": 0.31,
}
TIMELINE = {
    "samples": [
        {
            "time": 1763900060.0,
            "applied_events": 42_000,
            "behind_events": 0,
            "events_per_s": 700.0,
            "steps_per_s": 25.0,
            "version": 7,
            "student": "sage",
            "served": PAST_SCORE,
            "students": {"sage": PAST_SCORE},
            "losses": {"supervised": 0.42},
        }
    ],
    "decisions": [{**DECISION, "time": 1763900041.0}],
}
PIN = {"version": 4}
VERSION_PINNED = {"position": POSITION, "version": 4}
VERSION_UNPINNED = {"position": POSITION, "version": None}
_KEPT = {
    "version": 4,
    "student": "gcn",
    "members": [{"name": "gcn", "architecture": "gcn"}],
    "reason": "due",
    "created_position": POSITION,
    "step": 4200,
    "refined": 312,
    "served_from": POSITION,
    "served_until": POSITION,
    "parameters": 12_345,
    "bytes": 49_404,
    "temperature": 1.12,
    "feature_width": 64,
    "width": 64,
    "edge_types": 1,
    "classes": 2,
    "nodes": 12_000,
    "edges": 48_000,
    "labelled": 1_800,
    "applied_events": 42_000,
    "former": False,
    "drifts": 0,
    "score": {"scored": 900, "accuracy": 0.87, "macro_f1": 0.84, "log_loss": 0.39, "calibration_error": 0.021},
    "by_class": [
        {"name": "physics", "support": 600, "predicted": 628, "precision": 0.86, "recall": 0.9, "f1": 0.88},
        {"name": "biology", "support": 300, "predicted": 272, "precision": 0.79, "recall": 0.72, "f1": 0.75},
    ],
}
_CONFIGURATION = {
    "release": "0.1.0",
    "students": ["gcn", "sage", "gat", "evolvegcn"],
    "width": 64,
    "serve": "auto",
    "metric": "accuracy",
    "publish_steps": 2,
    "seed": 0,
}
_SERVING = {
    "rule": "auto",
    "served": "gcn",
    "expected_gain": 0.011,
    "withheld": "pinned",
    "choices": [
        {"name": "gcn", "cost_us": 128.0, "measured": True, "load": 0.21},
        {"name": "group", "cost_us": 322.0, "measured": False, "load": 0.48},
    ],
}
VERSIONS = {
    "served": 4,
    "pinned": 4,
    "rolled_back": False,
    "rollback_to": None,
    "versions": [_KEPT],
    "configuration": _CONFIGURATION,
    "serving": _SERVING,
}
MODEL_CARD = {
    "graph": "default",
    "pinned": True,
    "version": _KEPT,
    "configuration": _CONFIGURATION,
    "serving": _SERVING,
}
_PAIRED: dict[str, Any] = {
    "pairs": 180,
    "since": 1763900000.0,
    "until": 1763900060.0,
    "accuracy": {"value": 0.05, "low": 0.02, "high": 0.08},
    "log_loss": {"value": -0.1, "low": -0.16, "high": -0.04},
    "macro_f1": {"value": 0.06, "low": 0.02, "high": 0.1},
    "average_precision": None,
}
VARIANT_REMOVED = {"removed": "wide"}
VARIANT_PROMOTED = {"champion": "wide", "before": "default", "position": POSITION, "log_position": POSITION}
VARIANTS = {
    "champion": "default",
    "promotions": [],
    "variants": [
        {
            "name": "default",
            "alive": True,
            "position": POSITION,
            "behind_events": 0,
            "needs_log_after": POSITION,
            "version": 7,
            "student": "sage",
            "students": ["sage"],
            "score": STUDENT["score"],
            "memory_used": 700_000_000,
            "cost": {"cpu_ms_per_event": 0.6, "cpu_share": 0.55},
            "comparison": None,
        },
        {
            "name": "wide",
            "alive": True,
            "position": POSITION,
            "behind_events": 0,
            "needs_log_after": POSITION,
            "version": 2,
            "student": "gat",
            "students": ["sage", "gat"],
            "score": STUDENT["score"],
            "memory_used": 900_000_000,
            "cost": {"cpu_ms_per_event": 0.7, "cpu_share": 0.6},
            "comparison": {
                "metric": "accuracy",
                "lower_is_better": False,
                "outcome": "ahead",
                "difference": _PAIRED["accuracy"],
                "whole": _PAIRED,
                "windows": [],
            },
        },
    ],
}
STATUS = {
    "graph": "default",
    "log_id": "5f0c1c8c7d1b4b3c9a6e2f7d8b9a0c1d",
    "heartbeat": True,
    "variant": "default",
    "champion": "default",
    "position": POSITION,
    "log": {"position": POSITION, "entries": 42, "appended_events": 42_000, "behind_events": 0},
    "checkpoint_age_s": 12.5,
    "worker": {
        "position": POSITION,
        "applied_events": 42_000,
        "rejected_events": 0,
        "started_at": 1763900000.0,
        "updated_at": 1763900060.0,
        "device": "cpu",
        "events_per_s": 700.0,
        "steps_per_s": 25.0,
        "graph": {
            "nodes": 4000,
            "edges": 18_000,
            "labelled": 3000,
            "classes": ["physics", "biology"],
            "feature_width": 500,
            "latest_time": 2010.0,
            "event_time": True,
            "removed_ids": 12,
        },
        "learning": {
            "state": "learning",
            "since": 1763900000.0,
            "steps": 1500,
            "skipped_steps": 0,
            "resets": 0,
            "refused_versions": 0,
            "missing": [],
            "losses": {"supervised": 0.42, "global": 0.01, "local": 0.6},
        },
        "served": {"version": 7, "student": "sage", "progress": 1.0, "created_position": POSITION, "former": False},
        "served_score": STUDENT["score"],
        "lead": LEAD,
        "served_report": {**REPORT, "confusion": CONFUSION},
        "kept": VERSIONS,
        "candidate": None,
        "students": [STUDENT],
        "combined": COMBINED,
        "tasks": [],
        "links": [],
        "value_tasks": [],
        "node_value_tasks": [],
        "decisions": [DECISION],
        "checkpoint": {"position": POSITION, "written_at": 1763900047.5, "path": "olad-data/checkpoints/1"},
        "partitions": 1,
        "student_ranks": 1,
        "checkpoint_failures": 0,
        "disk_free": 48_000_000_000,
        "archive": {
            "place": "/var/lib/olad/archive/default",
            "position": POSITION,
            "written_at": 1763900050.0,
            "failures": 0,
            "problem": None,
        },
        "cost": {"cpu_s": 25.2, "events": 42_000, "cpu_share": 0.55},
        "memory": {
            "budget": 6_000_000_000,
            "needed": 450_000_000,
            "used": 700_000_000,
            "rows": 4096,
            "featured": 4000,
            "edges": 10556,
            "edge_types": 1,
            "edge_numbers": 0,
            "tasks": 0,
            "task_numbers": 0,
            "students": 4,
            "recurrent": 1,
            "hidden": 64,
            "served": 1,
            "trees": False,
            "kept": 0,
            "linear": False,
        },
    },
}

LIVE = {"live": True}
READY = {"ready": True}
PREDICTING = {"predicting": True, "worker": True}
_CHANGE = {
    "specversion": "1.0",
    "id": f"{POSITION}.1",
    "source": "urn:olad:graph:default",
    "type": "olad.label-changed",
    "subject": "p1",
    "time": "2025-11-23T12:13:20.000+00:00",
    "datacontenttype": "application/json",
    "position": POSITION,
    "data": {
        "node": "p1",
        "before": "biology",
        "label": "physics",
        "probability": 0.81,
        "student": "sage",
        "model_version": 7,
    },
}
STREAM = (
    f": changes follow\n\nid: {POSITION}.0\n\n"
    f"id: {POSITION}.1\nevent: label-changed\ndata: {msgspec.json.encode(_CHANGE).decode()}\n\n"
)
METRICS = "# HELP olad_api_events_accepted_total Events appended to the log.\nolad_api_events_accepted_total 42000.0\n"
