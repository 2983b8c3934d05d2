"""The learner of examples/train.py, on episodes that are made up."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "train.py"
STEPS, SHOOT = 200, 3


def test_learner_finds_the_action_that_is_rewarded_later() -> None:
    """The action `SHOOT` leads to the state 1, and only any action there is rewarded."""
    learner = runpy.run_path(str(EXAMPLE))["Learner"](seed=1)
    actions = np.random.default_rng(1).integers(0, 4, (STEPS, 2))
    states = np.zeros((STEPS + 1, 2), int)
    states[1:][actions == SHOOT] = 1
    learner.learn(states, actions, (states[:-1] == 1).astype(float))
    assert learner.choose(np.zeros(5, int), 0.0).tolist() == [SHOOT] * 5
    assert set(learner.choose(np.zeros(200, int), 1.0)) == {0, 1, 2, 3}
    np.testing.assert_allclose(learner.values[1, SHOOT], 1 / (1 - 0.95), rtol=1e-3)
