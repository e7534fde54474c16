"""Lines say whose they are."""

import io
import os

import pytest

from tools.dev.output import Output, Tail


def test_each_line_has_the_name_before_it() -> None:
    stream = io.StringIO()
    output = Output(stream, colours=False)
    output.line("ai", "one\ntwo")
    output.line("service", "")
    assert stream.getvalue() == "ai       | one\nai       | two\nservice  | \n"


def test_colours_end_with_the_name() -> None:
    stream = io.StringIO()
    Output(stream, colours=True).line("ai", "one")
    assert stream.getvalue() == "\x1b[36mai       | \x1b[0mone\n"


def test_a_program_is_followed_to_its_end() -> None:
    reading, writing = os.pipe()
    stream = io.StringIO()
    os.write(writing, b"one\r\n\xff\nno end")
    os.close(writing)
    Output(stream, colours=False).pump("ai", os.fdopen(reading, "rb")).join(5)
    assert stream.getvalue() == "ai       | one\nai       | \ufffd\nai       | no end\n"


def test_an_output_that_nobody_reads_is_closed() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    output = Output(stream, colours=False)
    output.line("ai", "one")
    assert output.closed
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_tail_gives_whole_lines() -> None:
    stream = io.BytesIO()
    tail = Tail(stream)
    seen = []
    for part in (b"one\ntw", b"o\n", b""):
        position = stream.tell()
        stream.write(part)
        stream.seek(position)
        seen.append(tail.lines())
    assert seen == [["one"], ["two"], []]
