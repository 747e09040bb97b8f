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

OTHER = os.environ.get("OTHER_DEVICE", "cuda")  # "cpu" tries laws marked gpu without a card
THERE = OTHER != "cuda" or torch.cuda.is_available()
DEVICES = ["cpu", *([pytest.param(OTHER, marks=pytest.mark.gpu, id="gpu")] if THERE else [])]


@pytest.fixture
def exact():
    """No TF32, which would round the factors of convolutions to 11 bits."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@pytest.fixture(params=DEVICES)
def device(request, exact):
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def pytest_collection_modifyitems(items):
    if not THERE:
        for item in items:
            if item.get_closest_marker("gpu"):  # not `keywords`, where folders are, too
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
