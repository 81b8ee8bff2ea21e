"""Planted faults apply to today's source; `make planted-faults` runs them."""

import pytest

from planted_faults import FAULTS, ROOT, SOURCE, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what.replace(" ", "_"))
def test_a_fault_applies(fault: Fault):
    assert (SOURCE / fault.file).read_text().count(fault.before) == 1
    assert fault.before != fault.after
    assert all((ROOT / path).exists() for path in fault.tests.split())
