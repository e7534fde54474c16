"""Everything that the rules know of //image, the recipe, and of its interpreter: in one place."""

# The platforms that images are for; the first is taken where none of them is asked for.
PLATFORMS = {
    "amd64": Label("//image:linux_amd64"),
    "arm64": Label("//image:linux_arm64"),
}

# The CPU by OCI's name, for select().
ARCHITECTURES = {
    Label("//image:arm64"): "arm64",
    "//conditions:default": "amd64",
}

# What every service's image begins with, lowest first.
LAYERS = [
    Label("//image:base"),
    Label("//image:python"),
]

# What of this repository several services have in common, compiled once: one blob for all of them.
SHARED = [
    Label("//image:serving"),
]

EXCLUSIONS = Label("//image:exclusions.toml")

# Places in the image.
PYTHON = "3.13"
INTERPRETER = "/usr/bin/python" + PYTHON
PACKAGES = "/usr/local/lib/python{}/dist-packages".format(PYTHON)
SOURCES = "/app"

# What the interpreter needs to find in a container, for every service.
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": SOURCES,
    "PYTHONUNBUFFERED": "1",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}
