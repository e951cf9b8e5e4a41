"""The outcome of tests as JUnit XML, in the form that CI systems read."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from xdpctl.trace.check import Result


def report(topology: str, results: list[Result], seconds: float) -> bytes:
    """The document: a suite, in it a case each, in that what differs."""
    failures = sum(not result.passed for result in results)
    numbers = {"tests": str(len(results)), "failures": str(failures), "errors": "0"}
    numbers["time"] = f"{seconds:.3f}"
    top = ElementTree.Element("testsuites", {"name": "xdpctl", **numbers})
    suite = ElementTree.SubElement(top, "testsuite", {"name": topology, "skipped": "0", **numbers})
    for result in results:
        _add(suite, topology, result)
    ElementTree.indent(top)
    return bytes(ElementTree.tostring(top, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add(suite: ElementTree.Element, topology: str, result: Result) -> None:
    place = result.case.location
    where = {"file": place.file, "line": str(place.line)}
    case = ElementTree.SubElement(
        suite, "testcase", {"classname": topology, "name": result.case.name, "time": "0", **where}
    )
    if result.passed:
        return
    differences = [
        f"{each.key}: expected {each.expected}, got {each.got}" for each in result.differences
    ]
    failure = ElementTree.SubElement(
        case, "failure", {"type": "difference", "message": "; ".join(differences)}
    )
    failure.text = "\n".join([str(place), *differences])
