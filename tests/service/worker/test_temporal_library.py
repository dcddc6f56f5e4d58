"""EvolveGCN and T-GCN can be built where torch-sparse is not installed, and nothing pretends that it is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

BUILD = "for name in ('evolvegcn', 'tgcn'): build_student(name, 3, 8, 2, seed=0)"


def run(program: str) -> str:
    """Run a program in a process that has imported nothing, and return what it prints."""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ran.stdout


STEP = """
weight = torch.nn.Parameter(torch.ones(2))
optimizer = Adam([weight], 0.1)
optimizer.zero_grad()
weight.sum().backward()
optimizer.step()
"""


@pytest.mark.skipif(importlib.util.find_spec("torch_sparse") is not None, reason="torch-sparse is installed")
def test_the_core_names_what_is_missing_and_what_to_call() -> None:
    refused = run(f"""
from olad_core.errors import OladError
from olad_core.students import build_student
try:
    {BUILD}
except OladError as error:
    print(error)
""")
    assert "No module named 'torch_sparse'" in refused
    assert "service.worker.temporal_library.import_temporal_library()" in refused


def test_once_imported_students_are_built_and_no_stand_in_is_left() -> None:
    left = run(f"""
import sys
from service.worker.temporal_library import import_temporal_library
import_temporal_library()
import_temporal_library()
from olad_core.students import build_student
{BUILD}
print("torch_sparse" in sys.modules)
""")
    assert left == f"{importlib.util.find_spec('torch_sparse') is not None}\n"


def test_torch_s_compiler_is_imported_by_nobody_until_it_is_asked_for() -> None:
    shown = run(f"""
import sys
from service.worker.temporal_library import import_temporal_library
import_temporal_library()
import torch
from torch_geometric.isinstance import is_torch_instance
from olad_core.learning.adam import Adam
from olad_core.students import build_student
{BUILD}
{STEP}
print("torch._dynamo" in sys.modules)
print(is_torch_instance(weight, torch.Tensor), "torch._dynamo" in sys.modules)
""")
    assert shown == "False\nTrue True\n"
