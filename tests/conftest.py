"""What all tests share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that wait for a busy core cost more

import pytest
import torch
from clip_folds import folds  # noqa: F401
from hums import speakers  # noqa: F401
from hypothesis import HealthCheck, settings

# A busy machine draws its examples slowly, which says nothing of what is tested.
settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
