"""That the service calls itself what it is deployed as."""

import json
import os
from pathlib import Path

from backend.identity import IDENTITY


def test_the_service_and_its_image_have_one_name_and_one_module() -> None:
    definition = json.loads(Path(os.environ["SERVICE"]).read_text())
    assert (definition["service"], definition["module"]) == (IDENTITY.name, IDENTITY.module)
