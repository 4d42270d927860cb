"""Loads the plugin from the checkout, installed or not."""

pytest_plugins = ["energy_plugin.plugin"]
