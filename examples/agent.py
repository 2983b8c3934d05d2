"""Let a scripted model go through Debian's installer to its third screen, over MCP.

python examples/agent.py [KERNEL INITRD]

The model is a list of steps in place of a language model: it calls the tools of `kju mcp` as a
model does, and finds its targets by their text. KERNEL and INITRD are from the folder gtk of
Debian's package debian-installer-12-netboot-amd64; without them tools/guests/installer.py
downloads them. It needs the extra agents (tools/setup agents).
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kju.aio

try:
    from mcp import Client, StdioServerParameters
except ImportError:
    sys.exit("this example needs the package mcp; install it with: tools/setup agents")

LIMIT = 300  # seconds for one screen; an idle computer boots in 40


class Model:
    """A model's view of one machine: it calls tools and reads their results.

    Args:
        client: A client of the server.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def call(self, tool: str, **arguments: str | float) -> dict[str, Any]:
        """Call a tool, print the call and the first line of its result, and return its values."""
        result = await self._client.call_tool(tool, arguments)
        words = getattr(result.content[0], "text", "")
        print(f"{tool} {arguments or ''}\n    {words.splitlines()[0]}", flush=True)
        if result.is_error:
            raise RuntimeError(words)
        return result.structured_content or {}

    async def expect(self, text: str) -> None:
        """Wait until the screen shows a text and holds still."""
        await self.call("wait_text", text=text, timeout=LIMIT)
        await self.call("wait_stable", seconds=1, timeout=LIMIT)

    async def click(self, text: str) -> None:
        """Click the middle of a text, and see the guest's answer."""
        found = await self.call("wait_text", text=text, timeout=LIMIT)
        left, top, right, bottom = found["box"]
        await self.call("click", x=(left + right) // 2, y=(top + bottom) // 2)


async def walk(model: Model) -> None:
    """Go through the screens for language, location and keyboard."""
    await model.expect("Select a language")
    await model.click("Continue")
    await model.expect("Select your location")
    # The list searches for typed letters, and Enter takes the row. A click on the button would only
    # end the search, which lasts for some seconds.
    await model.call("type", text="Ir\n")
    await model.expect("Configure the keyboard")
    screen = await model.call("read_text")
    print("\n".join(line["text"] for line in screen["lines"]))


async def main() -> None:
    """Start the installer, and connect the model to it."""
    kernel, initrd = sys.argv[1:] or downloaded()
    args = ["-kernel", kernel, "-initrd", initrd, "-append", "quiet vga=0x344 ---"]
    async with await kju.aio.launch(name="agent", memory="1536M", args=args) as machine:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "kju.cli", "mcp", machine.name],
            env=dict(os.environ),
        )
        async with Client(server) as client:
            await walk(Model(client))


def downloaded() -> list[str]:
    """Return the paths of the kernel and the initrd."""
    tool = Path(__file__).resolve().parents[1] / "tools" / "guests" / "installer.py"
    done = subprocess.run([sys.executable, tool], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip())
    return done.stdout.splitlines()


if __name__ == "__main__":
    asyncio.run(main())
