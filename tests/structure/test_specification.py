"""An image is what container-structure-test files say of it."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.container.bundle import Mount, SecurityContext
from tests.container.runtime import ContainerError, Runtime, Unpacked
from tests.oci.filesystem import Filesystem
from tests.oci.layout import Image
from tests.structure import specification
from tests.structure.specification import (
    CommandTest,
    FileContentTest,
    FileExistenceTest,
    MetadataTest,
    RunOptions,
    Specification,
    SpecificationError,
)

COMMAND_SECONDS = 60.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each of a file's, by its name."""
    try:
        files = {file: specification.read(Path(file)) for file in os.environ["CONFIGS"].split()}
    except SpecificationError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    found = [
        pytest.param(content, test, id=f"{Path(file).name}:{getattr(test, 'name', 'metadata')}")
        for file, content in files.items()
        for test in _tests(content)[metafunc.function.__name__]
    ]
    metafunc.parametrize(("content", "test"), found)


def _tests(content: Specification) -> Mapping[str, Sequence[object]]:
    return {
        "test_command": content.command_tests,
        "test_file_existence": content.file_existence_tests,
        "test_file_content": content.file_content_tests,
        "test_metadata": [content.metadata_test] if content.metadata_test else [],
    }


@pytest.fixture(scope="module")
def files(layout_image: Image) -> Filesystem:
    return layout_image.files


def none(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_file_existence(
    content: Specification, test: FileExistenceTest, layout_image: Image, files: Filesystem
) -> None:
    none(test.problems(files, layout_image.configuration.environment))


def test_file_content(
    content: Specification, test: FileContentTest, layout_image: Image, files: Filesystem
) -> None:
    none(test.problems(files, layout_image.configuration.environment))


def test_metadata(content: Specification, test: MetadataTest, layout_image: Image) -> None:
    none(test.problems(layout_image.configuration))


def variables(
    content: Specification, test: CommandTest, image: Mapping[str, str]
) -> dict[str, str]:
    """The image's variables, changed by the file's and then by the test's."""
    found = dict(image)
    for name in content.container_run_options.env_vars:
        found[name] = os.environ.get(name, "")
    for pair in [*content.global_env_vars, *test.env_vars]:
        found[pair.key] = specification.substituted(pair.value, found)
    return found


def confined(context: SecurityContext, options: RunOptions, *, writable: bool) -> SecurityContext:
    capabilities = [f"CAP_{name.removeprefix('CAP_')}" for name in options.capabilities]
    return SecurityContext(
        user=options.user or context.user,
        read_only_root=not writable,
        capabilities=capabilities,
        seccomp=context.seccomp,
        tmpfs=context.tmpfs,
    )


def mounts(options: RunOptions) -> Iterator[Mount]:
    for text in options.bind_mounts:
        source, _, target = text.partition(":")
        yield Mount(Path(source), target, read_only=False)


def test_command(
    content: Specification,
    test: CommandTest,
    runtime: Runtime,
    layout_image: Image,
    request: pytest.FixtureRequest,
    context: SecurityContext,
) -> None:
    changes = bool(test.setup or test.teardown)
    # What a setup changes is seen by this test's command alone.
    image: Unpacked = runtime.unpack(layout_image) if changes else request.getfixturevalue("image")
    environment = variables(content, test, image.configuration.environment)
    options = content.container_run_options

    def run(words: list[str]) -> tuple[int, str, str]:
        try:
            container = runtime.start(
                image,
                confined(context, options, writable=changes),
                entrypoint=[specification.substituted(word, environment) for word in words],
                environment=environment,
                mounts=list(mounts(options)),
            )
        except ContainerError as error:
            pytest.fail(str(error), pytrace=False)
        try:
            code = container.wait(COMMAND_SECONDS)
        finally:
            container.remove()
        return code, container.stdout, container.stderr

    for words in test.setup:
        code, output, error = run(words)
        assert code == 0, f"setup {words}: exit code {code}\n{output}{error}"
    result = run([test.command, *test.args])
    for words in test.teardown:
        run(words)
    none(test.problems(*result))
