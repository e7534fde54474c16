"""What the tests of all rooms share: a sample service, its databases, and ways to reach it."""
