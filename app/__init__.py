"""The running process: settings, ASGI application, HTTP routes, authentication, workers, command line."""
