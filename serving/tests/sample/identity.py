"""What the sample service is called."""

from serving.identity import Identity

IDENTITY = Identity(name="sample", title="Sample", module="serving.tests.sample", version="1.2.3")
