"""xdpctl: an XDP policy for every stacked network device, from one YAML file."""

__version__ = "0.1.0"
