"""`xdpctl schema`."""

from __future__ import annotations

import json

from xdpctl.cli.options import Options


def schema(options: Options) -> None:
    """Print the JSON Schema of topology files.

    Draft-7, as editors (yaml-language-server) want it.
    """
    from xdpctl.topology.schema import schema as topology_schema

    document = topology_schema()
    if options.output == "yaml":
        options.console.document(document)
    else:
        options.console.text(json.dumps(document, indent=2, ensure_ascii=False))
