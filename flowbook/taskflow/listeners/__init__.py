"""Adapts TaskFlow's listeners: they hear the compatibility engine's notifications, each with its dict of details."""
