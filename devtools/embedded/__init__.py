"""The parts of the engine without Docker, which runs each service as a process."""
