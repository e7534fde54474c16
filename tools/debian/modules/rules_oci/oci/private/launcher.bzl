"""Executables that hand over to a program of this module, with settings known at build time."""

# The program runs on the machine that builds, whatever platform the image is for, so it cannot
# itself be the target that `bazel run` names.
_LAUNCHER = """\
#!/bin/sh
if [ -d "$0.runfiles" ]; then RUNFILES_DIR=$0.runfiles; fi
export RUNFILES_DIR="${{RUNFILES_DIR:?which Bazel makes beside this program, is missing}}"
exec "$RUNFILES_DIR/{program}" "$RUNFILES_DIR" "{settings}" "$@"
"""

def runfiles_path(ctx, file):
    """Where a file is among the runfiles."""
    if file.short_path.startswith("../"):
        return file.short_path.removeprefix("../")
    return ctx.workspace_name + "/" + file.short_path

def launcher(ctx, *, executable, program, settings, files, targets):
    """Provides an executable that runs `program RUNFILES SETTINGS` with the person's arguments.

    Args:
        ctx: the rule's context
        executable: name of the file to write
        program: the target of the program
        settings: struct or dict that the program reads as JSON from SETTINGS
        files: files that the settings name
        targets: targets whose runfiles the program needs
    Returns:
        DefaultInfo
    """
    settings_file = ctx.actions.declare_file(ctx.label.name + ".settings.json")
    ctx.actions.write(settings_file, json.encode(settings))
    output = ctx.actions.declare_file(executable)
    files_to_run = program[DefaultInfo].files_to_run
    ctx.actions.write(
        output,
        _LAUNCHER.format(
            program = runfiles_path(ctx, files_to_run.executable),
            settings = runfiles_path(ctx, settings_file),
        ),
        is_executable = True,
    )
    runfiles = ctx.runfiles(files + [settings_file, files_to_run.executable])
    return DefaultInfo(
        executable = output,
        runfiles = runfiles.merge_all([
            target[DefaultInfo].default_runfiles
            for target in targets + [program]
        ]),
    )
