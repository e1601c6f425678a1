"""The model can fail: a spoilt protocol is refuted. (`nox -s model` checks the whole of it.)"""

import shutil

import pytest

from tests.model.check import holds


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("spin") and shutil.which("gcc")), reason="there is no spin on this system")
def test_a_slot_that_is_freed_by_the_time_of_sending_is_refuted() -> None:
    assert not holds("FREED_AT_SEND")
