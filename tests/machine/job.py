"""What the virtual machine is to run, and where it leaves what came of it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

# In the virtual machine; their names are the shares' tags.
IMAGES = Path("/run/images")
RESULTS = Path("/run/results")
STARTED = RESULTS / "started"
EXIT_CODE = RESULTS / "exit-code"


@dataclass(frozen=True)
class Job:
    """A program's arguments, environment and folder; `scratch` is a folder it may write to."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    scratch: str

    def write(self, file: Path) -> None:
        """Writes it to be read in the virtual machine."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> "Job":
        """What `write` wrote."""
        return cls(**json.loads(file.read_text()))
