"""For tests and demonstrations of what works across a network: `link`."""
