"""The parts of the Python host. The name is one that no function's own module has."""
