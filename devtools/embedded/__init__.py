"""The parts of the engine without Docker: each service as a process of this machine."""
