"""The transport's entry point: what Faust makes its consumer and its producer with."""

from __future__ import annotations

from typing import Any, ClassVar

import confluent_kafka
from faust.transport import base

from streams.transport.app import App
from streams.transport.consumer import Consumer
from streams.transport.producer import Producer


class Transport(base.Transport):
    """Registered in the entry point group ``faust.transports`` for the scheme ``deskpulse``."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer

    default_port = 9092
    driver_version = f"confluent_kafka={confluent_kafka.__version__}"

    def __init__(self, url: Any, app: Any, loop: Any = None) -> None:
        if not isinstance(app, App):
            raise TypeError("the transport 'deskpulse' needs a streams.transport.App")
        super().__init__(url, app, loop)
