"""What deploy/ recommends a service to be given: images are tested within it."""

from tests.container.cgroups import Limits

MIB = 1024 * 1024
LIMITS = Limits(memory=256 * MIB, cpus=1.0, pids=64)
