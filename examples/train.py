"""Train a table learner on grub-invaders in several forks, and draw its score.

python examples/train.py [--machines N] [--steps N] [--plot PNG] [--seed N] [KERNEL]

KERNEL is /boot/invaders.exec of Debian's package grub-invaders.

The program boots the game once, freezes it, and plays each episode of 80 steps in a new fork, in
all machines at the same time. Before each step the learner sees one of three states: most of the
invaders are to the left of the ship, above it, or to the right. It has four actions: wait, move
left, move right, shoot. Its table has a value for each state and action: the mean of the rewards
that followed, later ones counting less (Monte Carlo, not Q-learning). The reward is the number of
invaders that were shot; it is counted from the pixels about a second after the shot.

All values are 0 at first, so the best action is to wait. At first 30 % of the actions are random,
at last nearly none. So a part of the rise of the score is the end of the random actions. The plot
has the mean score of each round of episodes, and the mean of five rounds.

The game runs in real time. On a busy computer the guests get too little of it, and the score is
noise: use no more machines than the computer has processors.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import kju
from kju.gym import ChordActions, ForkReset, Lockstep, Moment, VectorEnv

KERNEL = "/boot/invaders.exec"
INVADERS, PIXELS = 40, 38  # the number of invaders, and the pixels of each
STEP, EPISODE = 0.06, 80  # seconds of a step: the game reads its keys 18 times a second; steps
BEGUN = 5.0  # seconds after which the invaders are in reach
SECOND = 17  # steps; two invaders may overlap, so the maximum of one second is their number
WIDE = 90  # the width of a shot's target in pixels
BOUNDS = (-40, 40)  # of the distances that the learner distinguishes, in pixels
ACTIONS = ("", "left", "right", "spc")
RATE, DISCOUNT = 0.02, 0.96  # of a learned value; of a reward that comes a step later


def seen(frame: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the number of invaders' pixels in each column, and the ship's column, or -1."""
    red, green, blue = (np.asarray(frame)[..., channel] > 100 for channel in range(3))
    ship = np.flatnonzero((blue & red & ~green).any(axis=0))
    return green.sum(axis=0), int(ship.mean()) if ship.size else -1


def distance(frame: np.ndarray) -> int:
    """Return the class of the distance from the ship to most of the invaders."""
    invaders, ship = seen(frame)
    target = int(np.convolve(invaders, np.ones(WIDE), "same").argmax())
    return int(np.digitize(target - ship, BOUNDS))


def visible(moment: Moment) -> float:
    """Return the number of invaders that can be seen; `play` makes the reward of it."""
    return float(seen(moment.frame)[0].sum() // PIXELS)


class Learner:
    """A table of the value of each action in each state: the mean of the rewards that followed."""

    def __init__(self, seed: int) -> None:
        self.values = np.zeros((len(BOUNDS) + 1, len(ACTIONS)))
        self._times = np.zeros(self.values.shape)
        self._random = np.random.default_rng(seed)

    def choose(self, states: np.ndarray, curiosity: float) -> np.ndarray:
        """Return an action for each state: at random with this probability, else the best."""
        best = self.values[states].argmax(axis=1)
        other = self._random.integers(0, len(ACTIONS), len(states))
        return np.where(self._random.random(len(states)) < curiosity, other, best)

    def learn(self, episode: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
        """Move the values of the actions of all machines towards what they have brought."""
        brought = np.zeros(len(episode[0][0]))
        for states, actions, gains in reversed(episode):
            brought = gains + DISCOUNT * brought
            for place, value in zip(zip(states, actions, strict=True), brought, strict=True):
                self._times[place] += 1
                rate = max(RATE, 1 / self._times[place])
                self.values[place] += rate * (value - self.values[place])


def play(envs: VectorEnv, learner: Learner, curiosity: float) -> float:
    """Play one episode in each machine, learn from it, and return the mean score."""
    frames, _ = envs.reset()
    states = np.array([distance(frame) for frame in frames])
    counts, shot, episode = [], np.zeros(envs.num_envs), []
    for _ in range(EPISODE):
        actions = learner.choose(states, curiosity)
        frames, count, *_ = envs.step(actions)
        counts.append(count)
        missing = INVADERS - np.max(counts[-SECOND:], axis=0)
        gains = np.maximum(missing - shot, 0) if len(counts) >= SECOND else np.zeros_like(shot)
        shot += gains
        episode.append((states, actions, gains))
        states = np.array([distance(frame) for frame in frames])
    learner.learn(episode)
    return float(shot.mean())


def train(envs: VectorEnv, steps: int, seed: int) -> tuple[Learner, list[float]]:
    """Return the learner, and the invaders that were shot in each round of episodes."""
    learner, scores = Learner(seed), []
    rounds = max(2, steps // (EPISODE * envs.num_envs))
    for played in range(rounds):
        curiosity = 0.3 * (1 - played / rounds)
        scores.append(play(envs, learner, curiosity))
        text = f"round {played + 1} of {rounds}: {scores[-1]:.1f} shot, {curiosity:.0%} at random"
        print(text, flush=True)
    return learner, scores


def draw(scores: Sequence[float], path: str) -> None:
    """Draw the score of each round, and the mean of five rounds."""
    width, height, edge = 640, 360, 40
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    most = max(*scores, 1.0)

    def at(number: float, score: float) -> tuple[float, float]:
        across = number / max(len(scores) - 1, 1)
        return edge + across * (width - 2 * edge), height - edge - score / most * (
            height - 2 * edge
        )

    for score in range(0, int(most) + 1, 5):
        pen.line([at(0, score), at(len(scores) - 1, score)], "#dddddd")
        pen.text((edge - 24, at(0, score)[1] - 6), str(score), "black")
    for number, score in enumerate(scores):
        x, y = at(number, score)
        pen.ellipse((x - 2, y - 2, x + 2, y + 2), "#88aadd")
    means = [float(np.mean(scores[max(0, n - 4) : n + 1])) for n in range(len(scores))]
    pen.line([at(*point) for point in enumerate(means)], "#1144aa", 2)
    pen.text((edge, 12), "invaders shot in an episode, mean of all machines", "black")
    pen.text((width - 2 * edge, height - edge + 12), f"round {len(scores)}", "black")
    image.save(Path(path))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="?", default=KERNEL)
    parser.add_argument("--machines", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10_000, help="of all machines together")
    parser.add_argument("--plot", default="train.png")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with kju.launch(args.kernel, memory="64M", name="train") as machine:
        machine.screen.wait_for(lambda frame: seen(frame)[1] >= 0, timeout=120)
        time.sleep(BEGUN)
        with machine.freeze("begin", spares=0) as base:
            machine.pause()
            envs = VectorEnv(
                [base.fork] * args.machines,
                actions=ChordActions(*ACTIONS, hold=False),
                stepping=Lockstep(STEP),
                reset=ForkReset(base),
                reward=visible,
                autoreset_mode="Disabled",
            )
            with envs:
                learner, scores = train(envs, args.steps, args.seed)
    draw(scores, args.plot)
    print(np.round(learner.values, 2))
    quarter = max(1, len(scores) // 4)
    first, last = np.mean(scores[:quarter]), np.mean(scores[-quarter:])
    print(f"{first:.1f} shot at first, {last:.1f} at last; the curve: {args.plot}")


if __name__ == "__main__":
    main()
