"""What of the lock holds for one target."""

from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.target import Target
from tools.locks.wheels import Pin


def applies(pin: Pin, target: Target) -> bool:
    """Whether a pin's marker holds for a target."""
    return pin.marker is None or pin.marker.evaluate(dict(target.markers()))


def chosen(pins: list[Pin], target: Target, shown: str) -> dict[str, Pin]:
    """The pins whose markers hold for a target, by name.

    Raises:
        WheelError: two pins of one package hold for the target.
    """
    found: dict[str, Pin] = {}
    for pin in pins:
        if not applies(pin, target):
            continue
        other = found.setdefault(pin.name, pin)
        if other is not pin:
            raise WheelError(
                f"{shown}:{pin.line}: {pin.requirement} and, on line {other.line}, "
                f"{other.requirement} both hold for {target.platform}; expected one"
            )
    return found
