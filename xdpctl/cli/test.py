"""`xdpctl test`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from xdpctl.cli.arguments import Files, refuse_plans
from xdpctl.cli.console import Paint
from xdpctl.cli.options import Options

if TYPE_CHECKING:
    from xdpctl.topology.model import Topology
    from xdpctl.trace.check import Result
    from xdpctl.trace.journey import Hop

FAILED = 1

Junit = Annotated[
    str | None,
    typer.Option("--junit", metavar="FILE", help="Write the outcome as JUnit XML, too."),
]


def test(options: Options, files: Files, junit: Junit = None) -> int:  # noqa: PT028 (no test)
    """Run the files' tests in the kernel, on no device.

    Each packet runs through the compiled programs by BPF_PROG_TEST_RUN, with maps of its own.
    Exits 1 if a test fails.
    """
    from time import perf_counter

    from xdpctl.topology.load import load
    from xdpctl.trace import check

    refuse_plans(files)
    topology = load(files, captures=True)
    start = perf_counter()
    with options.namespace():
        results = list(check.run(topology))
    if junit is not None:
        from xdpctl.cli.junit import report

        with open(junit, "wb") as stream:
            stream.write(report(topology.name, results, perf_counter() - start))
    if options.structured:
        options.console.document(document(results))
    else:
        options.console.text(text(topology, results, options.console.paint))
    return 0 if all(result.passed for result in results) else FAILED


def document(results: list[Result]) -> dict[str, Any]:
    """The outcome, by the contract of the JSON."""
    from xdpctl.trace.check import got

    tests = [
        {"name": result.case.name, "passed": result.passed, "got": _got(result, got)}
        for result in results
    ]
    return {"format": 1, "tests": tests}


def _got(result: Result, got: Any) -> dict[str, str | None]:
    found: dict[str, str | None] = got(result.journey)
    if "redirect" in result.case.expect:
        found.setdefault("redirect", None)
    if "bytes" in result.case.expect:
        found["bytes"] = result.journey.frame.hex()
    return found


def text(topology: Topology, results: list[Result], paint: Paint) -> str:
    """A line a test; below one that failed what was expected (-), what came (+), and why."""
    if not results:
        return f"topology {topology.name} has no tests"
    lines = [line for result in results for line in _lines(topology, result, paint)]
    failed = sum(not result.passed for result in results)
    summary = f"{len(results) - failed} passed, {failed} failed"
    return "\n".join([*lines, "", paint(summary, "red" if failed else "green")])


def _lines(topology: Topology, result: Result, paint: Paint) -> list[str]:
    if result.passed:
        return [f"{paint('PASS', 'green')}  {result.case.name}"]
    place = paint(f"({result.case.location})", "dim")
    lines = [f"{paint('FAIL', 'red')}  {result.case.name}  {place}"]
    for each in result.differences:
        came = each.got if each.got is not None else "(none)"
        lines += [
            paint(f"      - {each.key}: {each.expected}", "red"),
            paint(f"      + {each.key}: {came}", "green"),
        ]
    return lines + [paint(f"      {hop_text(topology, hop)}", "dim") for hop in result.journey.hops]


def hop_text(topology: Topology, hop: Hop) -> str:
    """`eth0: pass by policy guard, rule 1 bad (edge.yaml:20)`."""
    to = f" to {hop.target}" if hop.target else ""
    words = f"{hop.device}: {hop.verdict}{to}"
    if hop.policy is None:  # `flood` of a device without one
        return f"{words}, {hop.rule}{' address' * (hop.rule == 'unknown')}"
    words += f" by policy {hop.policy}, "
    if hop.number is None or topology.policies[hop.policy].object is not None:
        return words + hop.rule
    place = topology.policies[hop.policy].rules[hop.number - 1].location
    name = f" {hop.rule}" if hop.rule != str(hop.number) else ""
    return f"{words}rule {hop.number}{name} ({place.file}:{place.line})"
