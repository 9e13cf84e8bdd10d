"""The error of settings that cannot be used."""


class SettingsProblem(Exception):
    """Settings that cannot be used; the text names each of them."""
