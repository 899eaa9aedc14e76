from collections.abc import Generator

import pytest

from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tests.plans.crowded import Crowded


@pytest.fixture(scope="session")
def crowded(stack: Stack, tokens: Tokens) -> Generator[Crowded]:
    crowded = Crowded(stack, tokens)
    crowded.make()
    yield crowded
    crowded.forget()
