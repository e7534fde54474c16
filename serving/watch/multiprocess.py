"""What the supervisor and the metrics of several processes have to agree on."""

# The variable that names the folder of their figures. prometheus-client looks for it once, when it
# is imported, so this module imports nothing.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
