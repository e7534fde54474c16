"""Byte-code of a wheel's modules, beside them in the runfiles of whoever imports them."""

def _folders(files):
    found = {}
    for file in files:
        found.setdefault(file.dirname, []).append(file)
    return found

def _compiled_impl(ctx):
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("@%s", use_always = True)
    outputs = []
    for folder, files in _folders(ctx.files.srcs).items():
        # A folder for each, and not a file: a wheel has hundreds of modules.
        cache = ctx.actions.declare_directory(
            folder.removeprefix(ctx.label.workspace_root + "/") + "/__pycache__",
        )
        outputs.append(cache)
        args.add_all([cache], before_each = "--folder", expand_directories = False)
        args.add_all(files)
    if outputs:
        ctx.actions.run(
            executable = ctx.executable._compiler,
            arguments = [args],
            inputs = ctx.files.srcs,
            outputs = outputs,
            mnemonic = "WheelByteCode",
            progress_message = "Compiling %{label}",
            env = {"PYTHONHASHSEED": "0"},
        )
    return [DefaultInfo(files = depset(outputs))]

compiled = rule(
    implementation = _compiled_impl,
    attrs = {
        "srcs": attr.label_list(allow_files = [".py"], doc = "The modules; the lock's interpreter compiles them."),
        "_compiler": attr.label(
            cfg = "exec",
            default = Label("//wheels:compiler"),
            executable = True,
        ),
    },
    doc = "Compiles modules as the interpreter would at each start: it finds the result beside them.",
)

def _byte_code_impl(ctx):
    return [DefaultInfo(files = ctx.attr.compiled[DefaultInfo].files)]

byte_code = rule(
    implementation = _byte_code_impl,
    attrs = {
        "compiled": attr.label(
            # Byte-code is the same for every platform: tools and tests share what is compiled once.
            cfg = "exec",
            doc = "what `compiled` made",
            mandatory = True,
        ),
    },
    doc = "The byte-code of modules, whatever it is wanted for.",
)
