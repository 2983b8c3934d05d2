"""Train a table learner on grub-invaders in several forks, and draw its score.

python examples/train.py [--machines N] [--rounds N] [--plot PNG] [--seed N] [KERNEL]

KERNEL is /boot/invaders.exec of Debian's package grub-invaders. Forks of a paused machine need QEMU
10.0 or newer.

The program boots the game once and freezes it. In each round every machine plays one episode of 100
steps, in a new fork. The score is the number of invaders that were shot.

The learner has four actions, the keys of the game: none, left, right, space. A key stays down until
another action, so space shoots once, and again after another action. The learner sees which key is
down, and how many of its shots fly: the game allows five. In the first round all actions are
random, and fewer in each later round. Its table counts what followed each action in each state; the
values are computed from these counts after each round.

A step ends when the game has drawn its next picture, so a busy computer makes the game slow. It
learns less there: with a load of 20 on 2 processors the score rose by 0.7 in place of 2.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import kju
from kju.gym import ChordActions, ForkReset, Moment, UntilChanged, VectorEnv

KERNEL = "/boot/invaders.exec"
INVADERS, PIXELS = 40, 38  # the number of invaders, and the pixels of each
SHOTS, SHOT_PIXELS = 5, 18  # the largest number of shots in flight, and the pixels of each
ACTIONS = ("", "left", "right", "spc")
EPISODE = 100  # steps: pictures of the game
BEHIND = 4  # steps: two invaders cover each other, but not for so long
DISCOUNT = 0.95  # of the value that comes a step later
RANDOM = 0.05  # the share of random actions at last
CLOSE = 0.03  # values that differ by less are about equal


def pixels(frame: np.ndarray) -> np.ndarray:
    """Return the numbers of pixels of the shots, the invaders and the ship."""
    red, green, blue = (np.asarray(frame)[..., channel] > 100 for channel in range(3))
    return np.array([(red & ~blue).sum(), green.sum(), (red & blue & ~green).sum()])


def visible(moment: Moment) -> float:
    """Return the number of invaders that can be seen; `play` makes the reward of it."""
    return float(pixels(moment.frame)[1] // PIXELS)


def state(frame: np.ndarray, action: int) -> int:
    """Return the number of the learner's state: the last action, and the shots in flight."""
    shots = min(int(pixels(frame)[0]) // SHOT_PIXELS, SHOTS)
    return action * (SHOTS + 1) + shots


class Learner:
    """A table of the value of each action in each state.

    Attributes:
        values: The reward that follows, the later the less it counts.
    """

    def __init__(self, seed: int) -> None:
        states = len(ACTIONS) * (SHOTS + 1)
        self.values = np.zeros((states, len(ACTIONS)))
        self._followed = np.zeros((states, len(ACTIONS), states))  # times that a state followed
        self._rewards = np.zeros((states, len(ACTIONS)))
        self._random = np.random.default_rng(seed)

    def choose(self, states: np.ndarray, curiosity: float) -> np.ndarray:
        """Return an action for each state: at random with this probability, else the best."""
        # Of actions that are about equal all are used: only one of them may lead into a dead end.
        values = self.values[states]
        best = (values + self._random.gumbel(scale=CLOSE, size=values.shape)).argmax(axis=1)
        other = self._random.integers(0, len(ACTIONS), len(states))
        return np.where(self._random.random(len(states)) < curiosity, other, best)

    def learn(self, states: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> None:
        """Count the steps of episodes, each a column, and compute the values."""
        np.add.at(self._followed, (states[:-1], actions, states[1:]), 1)
        np.add.at(self._rewards, (states[:-1], actions), rewards)
        times = np.maximum(self._followed.sum(axis=2), 1)
        for _ in range(200):
            later = self._followed @ self.values.max(axis=1)
            self.values = (self._rewards + DISCOUNT * later) / times


def play(envs: VectorEnv, learner: Learner, curiosity: float) -> np.ndarray:
    """Play one episode in each machine, learn from it, and return the scores."""
    frames, _ = envs.reset()
    states = [np.array([state(frame, 0) for frame in frames])]
    actions, left = [], [np.full(envs.num_envs, INVADERS)]
    for _ in range(EPISODE):
        actions.append(learner.choose(states[-1], curiosity))
        frames, seen, *_ = envs.step(actions[-1])
        states.append(np.array([state(*pair) for pair in zip(frames, actions[-1], strict=True)]))
        left.append(seen)
    # Invaders cover each other, so as many are left as can be seen at any later moment.
    counts = np.maximum.accumulate(left[::-1])[::-1]
    counts[-BEHIND:] = counts[-BEHIND]
    learner.learn(np.array(states), np.array(actions), counts[:-1] - counts[1:])
    return INVADERS - counts[-1]


def train(envs: VectorEnv, rounds: int, seed: int) -> tuple[Learner, np.ndarray]:
    """Return the learner, and the score of each machine in each round."""
    learner, scores = Learner(seed), []
    for played in range(rounds):
        curiosity = max(RANDOM, 1 - 1.5 * played / rounds)
        scores.append(play(envs, learner, curiosity))
        mean = scores[-1].mean()
        text = f"round {played + 1} of {rounds}: {mean:.1f} shot, {curiosity:.0%} at random"
        print(text, flush=True)
    return learner, np.array(scores)


def draw(scores: np.ndarray, path: str) -> None:
    """Draw the score of each machine in each round, and the mean of each round."""
    width, height, edge = 720, 400, 56
    image = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    last, most = len(scores), scores.max() + 1

    def at(played: float, score: float) -> tuple[float, float]:
        across, up = (played - 1) / max(last - 1, 1), score / most
        return edge + across * (width - 2 * edge), height - edge - up * (height - 2 * edge)

    for score in range(0, int(most) + 1, 5):
        pen.line([at(1, score), at(last, score)], "#dddddd")
        pen.text((edge - 12, at(1, score)[1]), str(score), "black", font, "rm")
    for played in sorted({1, last, *range(5, last, 5)}):
        pen.text((at(played, 0)[0], height - edge + 14), str(played), "black", font, "mm")
    for played, row in enumerate(scores, 1):
        for x, y in (at(played, score) for score in row):
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), "#99bbdd")
    pen.line([at(*point) for point in enumerate(scores.mean(axis=1), 1)], "#1144aa", 3)
    title = "invaders shot in an episode: each machine (dots), mean of all (line)"
    pen.text((edge, edge / 2), title, "black", font, "lm")
    pen.text((width / 2, height - 14), "round", "black", font, "mm")
    image.save(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="?", default=KERNEL)
    parser.add_argument("--machines", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=16, help="each of an episode per machine")
    parser.add_argument("--plot", default="train.png")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    with kju.launch(args.kernel, memory="64M", name="train") as machine:
        machine.screen.wait_for(lambda frame: pixels(frame)[2], timeout=300)  # the ship
        machine.pause()
        with machine.freeze("begin", spares=0) as base:
            envs = VectorEnv(
                [base.fork] * args.machines,
                actions=ChordActions(*ACTIONS),
                stepping=UntilChanged(),
                reset=ForkReset(base),
                reward=visible,
                autoreset_mode="Disabled",
            )
            with envs:
                _, scores = train(envs, args.rounds, args.seed)
    draw(scores, args.plot)
    third = max(1, args.rounds // 3)
    first, last = scores[:1].mean(), scores[-third:].mean()
    print(f"{first:.1f} shot at random, {last:.1f} at last; the curve: {args.plot}")


if __name__ == "__main__":
    main()
