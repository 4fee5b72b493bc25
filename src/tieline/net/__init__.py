"""The only sockets that Tieline opens."""
