"""Integrations with other tools. Each needs an extra and is imported on first use."""
