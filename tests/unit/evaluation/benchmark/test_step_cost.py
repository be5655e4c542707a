"""The ledger of a step: what counts as a launch, as a copy, and as a copy that the host waits for."""

from __future__ import annotations

import pytest
import torch

from dreamfoundry.evaluation.benchmark.step_cost import StepLedger, table


def test_operations_are_launches_and_views_are_not() -> None:
    with StepLedger() as ledger:
        values = torch.empty(4, 8, device="meta")
        (values.view(8, 4)[2:].T + 1.0).unsqueeze(0).relu()

    assert ledger.launches == 2
    assert ledger.num_bytes == 4 * 6 * (1 + 1) * 4 * 2  # each reads and writes 24 numbers
    assert ledger.copies == 0


def test_a_copy_from_the_host_is_awaited_unless_it_says_otherwise() -> None:
    host, device = torch.ones(3), torch.empty(3, device="meta")
    with StepLedger() as ledger:
        host.to("meta")
        device.copy_(host)
        host.to("meta", non_blocking=True)

    assert (ledger.copies, ledger.waits, ledger.launches) == (3, 2, 0)


def test_an_index_from_the_host_is_a_copy_and_a_number_is_none() -> None:
    device = torch.empty(5, 2, device="meta")
    with StepLedger() as ledger:
        device[torch.tensor([1, 3]), torch.tensor([0, 1])]
        device * torch.tensor(2.0)

    assert (ledger.copies, ledger.waits, ledger.launches) == (2, 2, 2)


def test_work_of_the_host_is_counted_apart_and_what_is_aside_not_at_all() -> None:
    with StepLedger() as ledger:
        torch.ones(3) + 1.0
        with ledger.aside():
            torch.ones(3, device="meta") + 1.0

    assert (ledger.host_operations, ledger.launches) == (2, 0)


def test_the_table_has_a_line_for_every_case_and_number_of_slots() -> None:
    pytest.importorskip("triton", reason="triton has wheels for Linux only")
    lines = table(num_slots=(1,)).splitlines()

    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| one phase",
        "| one phase, occupancy renewed for one slot in four",
        "| two phases",
    ]
    assert {line.split(" | ")[3:5] == ["1", "0"] for line in lines[2:]} == {True}
