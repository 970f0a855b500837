"""The exported tasks on ECS: on an emulator that starts real containers, or in an account."""
