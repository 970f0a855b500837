"""What runs the server and other processes: supervisord, on both engines that use it."""
