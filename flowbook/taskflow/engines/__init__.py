"""TaskFlow's ``engines``: loading a flow into an engine, and running it there."""

from flowbook.taskflow.engines.helpers import (
    flow_from_detail,
    load,
    load_from_detail,
    load_from_factory,
    run,
    save_factory_details,
)

__all__ = ["flow_from_detail", "load", "load_from_detail", "load_from_factory", "run", "save_factory_details"]
