"""The probe names exactly what another server does otherwise: it fits the facts, not the sandbox."""

import pytest

from goedgepickt_async import GoedGepickt
from goedgepickt_async.contract import FACTS, Probe, Report
from goedgepickt_async.testing import unlimited_budget

from .other_service import DEVIATIONS, KEY, Service, serve

pytestmark = pytest.mark.slow

# The service keeps nothing back, and its filter by a past status does not exist.
ALWAYS = {"filter.orderstatus"}


async def probed(service: Service) -> Report:
    async with serve(service) as url, GoedGepickt(KEY, base_url=url, budget=unlimited_budget()) as client:
        probe = Probe(client)
        async for _ in probe.run():
            pass
        assert not probe.steps
    report = probe.report()
    assert service.asked == report.requests <= 100
    return report


def deviations(report: Report) -> set[str]:
    return {finding.fact for finding in report.deviations}


async def test_a_service_that_is_as_the_facts_say_has_no_deviation() -> None:
    assert deviations(await probed(Service())) == set()


@pytest.mark.parametrize("odd", DEVIATIONS)
async def test_each_deviation_is_reported_and_nothing_else(odd: str) -> None:
    assert deviations(await probed(Service(odd))) == DEVIATIONS[odd]


async def test_several_deviations_are_all_reported() -> None:
    odd = ("no counter headers", "totals as text", "dates with an offset", "webshopUuid is ignored")
    assert deviations(await probed(Service(*odd))) == set.union(*(DEVIATIONS[name] for name in odd))


async def test_what_is_new_and_no_deviation_is_named() -> None:
    report = await probed(Service("more keys beside items", "unknown values", "answers are gzipped"))
    assert report.unknown["List"] == ("links", "requestId")
    assert report.unknown["OrderStatus"] == ("sent_to_the_moon",)
    assert "Content-Encoding" in report.headers


async def test_the_report_lists_what_reads_cannot_show_and_why() -> None:
    verdicts = {finding.fact: finding for finding in (await probed(Service())).findings}
    assert verdicts.keys() >= FACTS.keys()
    for fact in FACTS.values():
        if not fact.probed:
            assert verdicts[fact.id].verdict == "could not tell"
            assert verdicts[fact.id].details[0]
    assert verdicts["order.twice"].details == ("only writes show it",)
