"""The app `kju desktop`: all machines in one window. Only `desktop.qt` imports a toolkit."""
