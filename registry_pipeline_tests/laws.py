"""How many examples a law is tried with: few while tests run for every change, many in `make soak`."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, settings

DEFAULT_EXAMPLES: Final = 100
SOAK_FACTOR: Final = 10


def register_profiles() -> None:
    """Register the profiles `ci` and `soak`, and load `ci`; `--hypothesis-profile=soak` loads the other one later."""
    # How long an example takes depends on how busy the machine is, and proves nothing about the law.
    base = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
    settings.register_profile("ci", base, max_examples=DEFAULT_EXAMPLES)
    settings.register_profile("soak", base, max_examples=DEFAULT_EXAMPLES * SOAK_FACTOR)
    settings.load_profile("ci")


def examples(number: int) -> settings:
    """Try a law with `number` examples, and with `SOAK_FACTOR` times as many in `make soak`.

    A law without it is tried with `DEFAULT_EXAMPLES`. Lower the number where one example takes more than a few
    milliseconds.
    """
    assert settings.default is not None
    return settings(max_examples=number * settings.default.max_examples // DEFAULT_EXAMPLES)
