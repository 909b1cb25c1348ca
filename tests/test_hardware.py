"""What the hardware can do."""

import pytest
import torch

from fastnst.hardware import computes_in_bfloat16


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, True), ("AVX512_CORE_BF16", True), ("avx2", False), ("AVX512_CORE", False)]
)
def test_a_limit_of_onednn_counts(monkeypatch, limit, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if limit is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert computes_in_bfloat16("cpu") is expected


def test_a_processor_without_it(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert not computes_in_bfloat16("cpu")
