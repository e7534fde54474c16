#!/usr/bin/python3.13
"""Runs one command with redirections: all that initdb and pg_ctl ask of a shell.

initdb starts its children with popen(3) and system(3), which call `/bin/sh -c COMMAND`. This is no
shell: no variables, globs, pipes or lists; anything but words and redirections is an error.
"""

import os
import shlex
import sys

_FILES = {
    "<": os.O_RDONLY,
    ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}


def parse(command: str) -> tuple[list[str], list[tuple[int, str, str]]]:
    """The words of a command and its redirections: descriptor, operator, target.

    Raises `ValueError` for what only a shell could do.
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars="<>&|;()")
    lexer.whitespace_split = True
    tokens = list(lexer)
    words: list[str] = []
    redirections: list[tuple[int, str, str]] = []
    while tokens:
        token = tokens.pop(0)
        if not token or token[0] not in "<>&|;()":
            words.append(token)
            continue
        if token not in (*_FILES, ">&") or not tokens:
            raise ValueError(f"{token!r} in {command!r} needs a shell, and there is none")
        descriptor = 0 if token == "<" else 1
        # "2>" comes as the word 2 and the operator >.
        if words and words[-1] == "2" and f"2{token}" in command:
            words.pop()
            descriptor = 2
        redirections.append((descriptor, token, tokens.pop(0)))
    if words[:1] == ["exec"]:
        del words[0]
    if not words or any(mark in word for word in words for mark in "$`"):
        raise ValueError(f"{command!r} needs a shell, and there is none")
    return words, redirections


def main() -> None:
    """Becomes the command; exits 127 where it cannot."""
    try:
        # glibc's popen and system put "--" before the command.
        option, command = [word for word in sys.argv[1:] if word != "--"]
        if option != "-c":
            raise ValueError(f"expected -c and a command, got {option!r}")
        words, redirections = parse(command)
        for descriptor, operator, target in redirections:
            if operator == ">&":
                os.dup2(int(target), descriptor)
            else:
                opened = os.open(target, _FILES[operator], 0o600)
                os.dup2(opened, descriptor)
                os.close(opened)
        os.execvp(words[0], words)
    except (ValueError, OSError) as error:
        print(f"sh: {error}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main()
