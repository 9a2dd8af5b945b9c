"""Proxies: small models trained on one mixture each and measured. Its code is part of their keys."""
