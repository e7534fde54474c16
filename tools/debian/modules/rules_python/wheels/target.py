"""The machine that wheels are for, whatever machine fetches them."""

from dataclasses import dataclass

from tools.debian.modules.rules_python.wheels.error import WheelError

# The C library of the image (Debian 13). A wheel that needs a later one could not be loaded.
_GLIBC = (2, 41)
# The first version of the C library that knew the CPU, and so the oldest tag there is (PEP 600).
_OLDEST = {"x86_64": 5, "aarch64": 17}
# PEP 600, "Legacy manylinux tags".
_LEGACY = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


@dataclass(frozen=True)
class Target:
    """CPython on Linux: `cpu` as `uname -m` names it, `python` as MAJOR.MINOR."""

    cpu: str
    python: str

    @classmethod
    def of(cls, platform: str, python: str) -> "Target":
        """The target that a platform's name means, such as `linux_x86_64`.

        Raises:
            WheelError: the name is of no platform that wheels are fetched for here.
        """
        system, _, cpu = platform.partition("_")
        if system != "linux" or cpu not in _OLDEST:
            known = ", ".join(f"linux_{cpu}" for cpu in _OLDEST)
            raise WheelError(f"target platform {platform!r} is unknown; expected one of {known}")
        major, _, minor = python.partition(".")
        if not (major.isdigit() and minor.isdigit()):
            raise WheelError(f"python_version is {python!r}; expected MAJOR.MINOR, such as 3.13")
        return cls(cpu, python)

    @property
    def platform(self) -> str:
        """The name of the platform, as `of` takes it."""
        return f"linux_{self.cpu}"

    def markers(self) -> dict[str, str]:
        """The environment that markers are evaluated in (PEP 508, "Environment Markers")."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.cpu,
            "platform_python_implementation": "CPython",
            "platform_release": "0",
            "platform_system": "Linux",
            "platform_version": "0",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def pip_options(self) -> list[str]:
        """The options that name the wheels for this target to pip, each kind's best first.

        Of two wheels that differ in the C library they need, the one that needs the older wins,
        as in rules_python 2.3.2: both adapters and original put the same files in an image.
        `preference.py` has pip go by the platform before interpreter and ABI.
        """
        tags = []
        for minor in range(_OLDEST[self.cpu], _GLIBC[1] + 1):
            tags.append(f"manylinux_{_GLIBC[0]}_{minor}_{self.cpu}")
            if minor in _LEGACY:
                tags.append(f"{_LEGACY[minor]}_{self.cpu}")
        tags.append(self.platform)
        abis = [f"cp{self.python.replace('.', '')}", "abi3", "none"]
        return [
            "--implementation=cp",
            f"--python-version={self.python}",
            *(f"--abi={abi}" for abi in abis),
            *(f"--platform={tag}" for tag in tags),
        ]
