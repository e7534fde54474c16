"""The error of settings that cannot work."""


class SettingsError(Exception):
    """The environment does not describe a service that can run.

    Attributes:
        problems: one line each: the variable, what came (secrets masked), what is expected.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
