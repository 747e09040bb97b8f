"""No system of the surveys drops out silently, and each has a test that exists."""

import re
from pathlib import Path

import coverage_table
import pytest

from sepaudio import backbones

ROOT = Path(__file__).parent.parent
CHECKS = coverage_table.checks()
OWN = [check for check in CHECKS if check.how == "own"]


def numbers(how):
    return {check.row for check in CHECKS if check.how == how}


def test_every_system_of_the_surveys_is_there():
    assert {check.row for check in CHECKS} == set(coverage_table.NUMBERS)


def test_how_many_are_ours_come_through_the_door_or_are_still_to_be_built():
    own, door = numbers("own"), numbers("door") - numbers("own")
    later = numbers("later") - own - door
    assert (len(own), len(door), len(later)) == (95, 9, 0)


@pytest.mark.parametrize("check", OWN, ids=lambda check: f"{check.row}-{check.test}")
def test_what_is_ours_is_checked_by_a_test_that_exists(check):
    assert check.check in ("logits oracle", "oracle", "integer", "invariant")
    path, _, function = check.test.partition("::")
    assert re.search(rf"^def {function}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_backbone_belongs_to_a_system():
    told = {name for check in OWN for name in check.names.split()}
    assert not set(backbones.names()) - told


def test_the_readme_has_the_table():
    text = coverage_table.README.read_text(encoding="utf-8")
    assert coverage_table.filled(text) == text
