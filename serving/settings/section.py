"""Sections of settings: a room declares the variables that it reads, a service adds sections up."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from serving.settings.secrets import MASK, MountedSecrets, is_secret

TOGETHER = "together"

# Stands in examples of secrets, where a person has to put one of their own.
PLACEHOLDER = "replace-this"


def split_list(value: object) -> object:
    """A comma-separated text as a tuple; blanks and empty parts do not count."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


def secret(default: Any = None, **options: Any) -> Any:
    """A field whose value is never shown, and which a mounted file may give."""
    return Field(default, json_schema_extra={"secret": True}, **options)


def expected(what: str) -> PydanticCustomError:
    """The error of a validator, in the words of the other ones."""
    return PydanticCustomError("expected", "Input should be {what}", {"what": what})


def one_word(value: str) -> str:
    """A value without blanks, line breaks or other characters that nothing can send.

    Raises:
        PydanticCustomError: it has some.
    """
    if not all("!" <= character <= "~" for character in value):
        raise expected("a value of visible ASCII characters, without blanks or line breaks")
    return value


class Section(BaseSettings):
    """Some environment variables, named like the fields in capitals.

    A service's class of settings inherits from all the sections it needs. An empty variable counts
    as unset.

    Attributes:
        TITLE: the section's heading in the generated page.
        PRODUCTION: defaults that differ in production, unless they are set explicitly.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    TITLE: ClassVar[str] = "General"
    PRODUCTION: ClassVar[Mapping[str, Any]] = {}

    environment: Literal["dev", "prod"] = Field(
        "dev", description="Chooses the defaults: `dev` for a laptop, `prod` for everything else."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then mounted secrets."""
        return init_settings, env_settings, MountedSecrets(settings_cls, cls.names())

    @classmethod
    def sections(cls) -> Iterator[tuple[type["Section"], list[str]]]:
        """Each section of this class, in the order of its bases, and the names of its fields."""
        seen: set[str] = set()
        # A field that a service declares anew, for another default, stays in its section.
        for section in (Section, *cls.__mro__[1:], cls):
            if issubclass(section, Section):
                own = [name for name in section.__annotations__ if name in cls.model_fields]
                names = [name for name in own if name not in seen]
                seen.update(names)
                if names:
                    yield section, names

    @classmethod
    def names(cls) -> list[str]:
        """All fields, in the order of the sections."""
        return [name for _, names in cls.sections() for name in names]

    @classmethod
    def production(cls) -> dict[str, Any]:
        """What all sections say of production."""
        defaults: dict[str, Any] = {}
        for section, _ in cls.sections():
            defaults.update(section.PRODUCTION)
        return defaults

    def conflicts(self) -> Iterator[str]:
        """What is wrong with values that are each valid, a line each; for sections to override.

        Here: in production, secrets that still are an example's.
        """
        if self.environment != "prod":
            return
        for name in self.names():
            if is_secret(type(self).model_fields[name]) and PLACEHOLDER in _text(
                getattr(self, name)
            ):
                yield f"{name.upper()}: got an example; expected a secret of your own in its place"

    @model_validator(mode="before")
    @classmethod
    def _fill_production_defaults(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("environment") == "prod":
            return {**cls.production(), **values}
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _check_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python reads `18_191` as a number; whoever typed it meant something else."""
        field = cls.model_fields[info.field_name or ""]
        if field.annotation in {int, float} and isinstance(value, str) and "_" in value:
            raise expected("a number, without underscores")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problems: list[str] = []
        for section in type(self).__mro__:
            if "conflicts" in vars(section):
                problems += section.conflicts(self)  # type: ignore[attr-defined]
        if problems:
            raise PydanticCustomError(TOGETHER, "{problems}", {"problems": "\n".join(problems)})
        return self

    def shown(self) -> dict[str, str]:
        """Every variable and its effective value, secrets masked."""
        lines = {}
        for name in self.names():
            field = type(self).model_fields[name]
            lines[name.upper()] = _show(getattr(self, name), field)
        return lines


def _text(secret_value: Any) -> str:
    """A secret itself: for looking at it, never for showing it."""
    if isinstance(secret_value, SecretStr):
        return secret_value.get_secret_value()
    return str(secret_value)


def _show(value: Any, field: FieldInfo) -> str:
    if value is None or value == ():
        return ""
    if is_secret(field):
        text = _text(value)
        return text if text.startswith("sqlite:") else MASK
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
