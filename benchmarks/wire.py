"""Bytes and CPU of the wire and of QEMU's VNC server, with the same recorded updates.

Both show each update before the next one is drawn, and the result is compared pixel by pixel, so
neither gains by omitting one. kju's sender and viewer run in this process over an ideal link. This
program draws on QEMU's card (shown.py), and requests changes from its VNC server until all have
arrived.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kju.surface import surface_size
from kju.surface.consumer import Consumer
from kju.surface.producer import Producer
from kju.wire import codecs, messages
from kju.wire.encoder import Encoders
from kju.wire.greeting import Admission
from kju.wire.receiver_session import ReceiverSession
from kju.wire.sender_session import SenderSession

from .measure import Figure, progress
from .peers.vnc import Vnc
from .shown import Shown, shown
from .traces import HEIGHT, WIDTH, Trace, traces

#: VNC's encodings. Without a level QEMU uses 9, and TigerVNC's viewer requests none by default; 2
#: is TigerVNC's own default.
PEERS = {"Tight": "tight", "Tight, level 2": "tight-2", "ZRLE": "zrle"}
#: Maximum share of the best peer's bytes, for all traces together and for each.
TOGETHER, EACH = 0.6, 1.0
NOISE = "noise"
#: Codecs that a viewer may request in place of kju's default.
WAYS = {"lossy": ["zstd", codecs.JPEG], "lz4": ["lz4"], "raw": ["raw"]}
#: Seconds for which nothing changes after a trace, and those from one of its updates to the next.
REST, STEP = 1.0, 0.03
#: CPU of an encoded pixel, of the peer's.
CPU = 1.0
CAPACITY = 8 << 20
#: Maximum messages until a viewer shows an update.
MOST = 2000


class Cost(NamedTuple):
    """The cost of a trace.

    Attributes:
        size: Bytes.
        cpu: Seconds, of encoding and sending.
        compared: Seconds, of finding the changes.
        shown: Seconds, of decoding and drawing.
        noise: Ratio of the signal to what is wrong in what was shown, dB, the worst; infinite
            where nothing is.
        rest: Bytes that are sent after the last change.
    """

    size: int
    cpu: float
    compared: float = 0.0
    shown: float = 0.0
    noise: float = float("inf")
    rest: int = 0


# ---- kju ----


def _surface() -> tuple[Producer, Consumer]:
    size = surface_size(CAPACITY)
    memory = np.zeros(size + 64, np.uint8)
    offset = -memory.ctypes.data % 64
    memory = memory[offset : offset + size]
    return Producer.format(memory, CAPACITY, incarnation=1), Consumer(memory)


class Session:
    """A screen, its sender and its viewer.

    Args:
        offered: Codecs of the viewer; photos too, if JPEG is among them.
    """

    def __init__(self, offered: Sequence[str] = codecs.offered()) -> None:
        self.screen, consumer = _surface()
        self.screen.set_mode(WIDTH, HEIGHT)
        self.shows, _ = _surface()
        self._lossy = lossy = codecs.JPEG in offered
        wanted = messages.SessionHello(1, "control", list(offered), 1, lossy=lossy)
        encoder = Encoders(consumer).for_viewer(wanted)
        self._sender = SenderSession(encoder, consumer, lambda hello, raw: Admission("control"))
        self._receiver = ReceiverSession(self.shows)
        self._receiver.start("control", codecs=offered, lossy=lossy)
        self._now = 0.0
        self.size = 0
        self.cpu = self.shown = 0.0
        self.noise = float("inf")

    def rest(self, seconds: float) -> None:
        """Advance the clock, if that affects the sent messages."""
        if self._lossy:
            self._now += seconds

    def settle(self) -> None:
        """Exchange messages until the viewer shows the screen, or a close picture."""
        for _ in range(MOST):
            if not self._turn():
                break
        mine, theirs = self.shows.pixels[..., :3], self.screen.pixels[..., :3]
        if np.array_equal(mine, theirs):
            return
        if self._receiver.picture.exact:
            raise RuntimeError("the viewer does not show the screen")
        wrong = (mine != theirs).any(-1)
        error = np.mean((mine[wrong].astype(float) - theirs[wrong]) ** 2)
        self.noise = min(self.noise, float(10 * np.log10(255**2 / error)))

    def _turn(self) -> bool:
        """Pass all messages of one side to the other; return whether it had any."""
        self._now += 0.001
        said = [messages.encode(message) for message in self._receiver.to_send()]
        start = time.thread_time()
        for data in said:
            self._sender.receive(messages.decode_from_viewer(data), self._now)
        out = [messages.encode(message) for message in self._sender.to_send(self._now)]
        while message := self._sender.next_message(self._now):
            out.append(messages.encode(message))
            if isinstance(message, messages.Ping):
                break
        self.cpu += time.thread_time() - start
        for data in out:
            self.size += len(data)
            start = time.thread_time()
            self._receiver.receive(messages.decode_from_sender(data), self._now)
            self.shown += time.thread_time() - start
        return bool(said or out)


def of_kju(trace: Trace, offered: Sequence[str] = codecs.offered()) -> Cost:
    """Return the cost of a trace through the wire."""
    session = Session(offered)
    session.screen.compare(trace.first)
    session.settle()
    session.rest(REST)
    session.settle()
    size, cpu, drawn, compared = session.size, session.cpu, session.shown, 0.0
    session.noise = float("inf")
    for number, (_, picture) in enumerate(trace.pictures()):
        progress(f"{trace.name}: kju", number, len(trace.frames))
        start = time.thread_time()
        session.screen.compare(picture)
        compared += time.thread_time() - start
        session.rest(STEP)
        session.settle()
    noise, cpu, drawn = session.noise, session.cpu - cpu, session.shown - drawn
    moved = session.size - size
    session.rest(REST)
    session.settle()
    if not np.array_equal(session.shows.pixels[..., :3], session.screen.pixels[..., :3]):
        raise RuntimeError("the viewer does not show the screen when that is at rest")
    return Cost(moved, cpu, compared, drawn, noise, session.size - size - moved)


# ---- VNC ----


def _show(client: Vnc, picture: np.ndarray) -> None:
    for _ in range(MOST):
        if np.array_equal(client.look()[..., :3], picture[..., :3]):
            return
        client.ask()
    raise RuntimeError("QEMU's VNC server does not show what was drawn")


def of_vnc(qemu: Shown, trace: Trace, option: str) -> Cost:
    """Return the cost of a trace through QEMU's VNC server, without the CPU of drawing."""
    qemu.draw(0, trace.first)
    with contextlib.closing(Vnc(qemu.where, option)) as client:
        _show(client, trace.first)
        size, cpu = client.received, qemu.cpu()
        for number, (rows, picture) in enumerate(trace.pictures()):
            progress(f"{trace.name}: {option}", number, len(trace.frames))
            for y, pixels in rows:
                qemu.draw(y, pixels)
            _show(client, picture)
        size, spent = client.received - size, qemu.cpu() - cpu
    return Cost(size, spent - _drawing(qemu, trace))


def _drawing(qemu: Shown, trace: Trace) -> float:
    """Return the CPU of drawing the trace without a client."""
    cpu = qemu.cpu()
    for rows, _ in trace.pictures():
        for y, pixels in rows:
            qemu.draw(y, pixels)
    return qemu.cpu() - cpu


# ---- figures ----


def report(trace: Trace, ours: Cost, theirs: dict[str, Cost]) -> Iterator[Figure]:
    updates, megapixels = len(trace.frames), trace.changed / 1e6
    for name, cost in {"kju": ours, **theirs}.items():
        speed = f"{1000 * cost.cpu / megapixels:.1f} ms/megapixel"
        yield Figure("wire", f"{trace.name}: {name}", cost.size / updates, "B/update", None, "",
                     f"{updates} updates, {speed}")  # fmt: skip
    best = min(theirs, key=lambda name: theirs[name].size)
    ratio = ours.size / theirs[best].size
    yield Figure("wire", f"{trace.name}: bytes", ratio, "x", EACH, best, f"{ratio:.4f}")


def other_ways(trace: Trace, ours: Cost) -> Iterator[Figure]:
    """Compare bytes and CPU of the codecs that viewers may request with the default."""
    updates = len(trace.frames)
    for way, cost in {
        "zstd": ours,
        **{w: of_kju(trace, names) for w, names in WAYS.items()},
    }.items():
        near = "" if cost.noise == float("inf") else f", {cost.noise:.1f} dB, {cost.rest:,} at rest"
        times = f"{1000 * cost.cpu / updates:.2f} + {1000 * cost.shown / updates:.2f} ms"
        yield Figure("wire", f"{trace.name}: {way}", cost.size / updates, "B/update", None, "",
                     times + near)  # fmt: skip


def together(costs: dict[str, dict[str, Cost]]) -> Iterator[Figure]:
    """Return the bytes of all traces except noise, which is incompressible and would dominate."""
    for what, left_out in (("all traces", NOISE), ("all traces and noise", "")):
        sums = {
            name: sum(cost.size for trace, cost in each.items() if trace != left_out)
            for name, each in costs.items()
        }
        size = sums.pop("kju")
        best = min(sums, key=lambda name: sums[name])
        yield Figure("wire", f"{what}: bytes", size / sums[best], "x",
                     TOGETHER if left_out else None, best,
                     f"{size / 1e6:.2f} against {sums[best] / 1e6:.2f} MB")  # fmt: skip
    ratios = [
        cost.size / min(each[trace].size for name, each in costs.items() if name != "kju")
        for trace, cost in costs["kju"].items()
    ]
    mean = float(np.exp(np.log(ratios).mean()))
    yield Figure("wire", "geometric mean of each trace's bytes", mean, "x", None, "each one's best")


def cpu(costs: dict[str, dict[str, Cost]], megapixels: float) -> Iterator[Figure]:
    """Return the CPU per changed megapixel, of all traces with noise."""
    load = f"load {os.getloadavg()[0]:.1f}"
    spent = {
        name: 1000 * sum(cost.cpu for cost in each.values()) / megapixels
        for name, each in costs.items()
    }
    looking = 1000 * sum(cost.compared for cost in costs["kju"].values()) / megapixels
    for name, value in {**spent, "kju, looking for changes": looking}.items():
        yield Figure("wire", f"CPU: {name}", value, "ms/megapixel", None, "", load)
    ours = spent.pop("kju") + looking
    for name, value in spent.items():
        yield Figure("wire", f"CPU against {name}, looking included", ours / value, "x", CPU, name,
                     load)  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    costs: dict[str, dict[str, Cost]] = {"kju": {}, **{name: {} for name in PEERS}}
    changed = 0
    for trace in traces():
        costs["kju"][trace.name] = of_kju(trace)
        with shown(folder, WIDTH, HEIGHT) as qemu:
            for name, option in PEERS.items():
                costs[name][trace.name] = of_vnc(qemu, trace, option)
        yield from other_ways(trace, costs["kju"][trace.name])
        yield from report(
            trace, costs["kju"][trace.name], {name: costs[name][trace.name] for name in PEERS}
        )
        changed += trace.changed
    yield from together(costs)
    yield from cpu(costs, changed / 1e6)


# ---- the documentation's table ----


def table(report: dict[str, Any]) -> str:
    """Return a table of the bytes per update of each trace and viewer, from a run's JSON."""
    values = {figure["name"]: figure for figure in report["figures"] if figure["group"] == "wire"}
    names = ["kju", *PEERS]
    lines = [f"Measured on: {report['machine']}.", "",
             f"| bytes an update | updates | {' | '.join(names)} | kju to the best |",
             "|---|" + "--:|" * (len(names) + 2)]  # fmt: skip
    for trace in (name.removesuffix(": kju") for name in values if name.endswith(": kju")):
        if f"{trace}: bytes" not in values:
            continue
        sizes = " | ".join(f"{values[f'{trace}: {name}']['value']:,.0f}" for name in names)
        updates = values[f"{trace}: kju"]["detail"].partition(" ")[0]
        lines.append(f"| {trace} | {updates} | {sizes} | {_ratio(values[f'{trace}: bytes'])} |")
    lines += ["", "| all together | | against | |", "|---|--:|---|---|"]
    for name, figure in values.items():
        if name.startswith(("all", "geometric", "CPU")):
            unit = "" if figure["unit"] == "x" else f" {figure['unit']}"
            value = _ratio(figure) if not unit else f"{figure['value']:.1f}"
            lines.append(f"| {name} | {value}{unit} | {figure['peer']} | {figure['detail']} |")
    return "\n".join([*lines, *_ways(values)]) + "\n"


def _ways(values: dict[str, Any]) -> list[str]:
    """Return a table of the codecs: bytes, CPU of both sides, errors."""
    names = ["zstd", *WAYS]
    lines = ["", f"| bytes an update, CPU of sender + viewer | {' | '.join(names)} |",
             "|---|" + "---|" * len(names)]  # fmt: skip
    for trace in (name.removesuffix(": zstd") for name in values if name.endswith(": zstd")):
        found = [values[f"{trace}: {way}"] for way in names]
        cells = " | ".join(f"{each['value']:,.0f}, {each['detail']}" for each in found)
        lines.append(f"| {trace} | {cells} |")
    return lines


def _ratio(figure: dict[str, Any]) -> str:
    value, limit = figure["value"], figure["limit"]
    shown = f"{value:.4f}" if 0.995 < value < 1.005 else f"{value:.2f}"
    return f"{shown} x" + (f" (**missed**: {limit:g})" if figure["reached"] is False else "")


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())), end="")
