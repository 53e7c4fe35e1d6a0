"""openchange_py: a server/proxy hybrid for the Exchange RPC protocols."""

__version__ = "0.1.0"
