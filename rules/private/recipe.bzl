"""Everything that the rules know of //image, the recipe: labels, in one place."""

# The platforms that images are for; the first is taken where none of them is asked for.
PLATFORMS = {
    "amd64": Label("//image:linux_amd64"),
    "arm64": Label("//image:linux_arm64"),
}
