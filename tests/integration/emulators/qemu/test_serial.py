"""The serial port: many readers, several writers, and no client can stop the guest."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from support.wait import until_async

from kju.emulators.qemu import serial
from kju.emulators.qemu.serial import (
    HISTORY,
    MAX_PER_CLIENT,
    MAX_UNREAD,
    MAX_VIEWERS,
    MAX_WAITING,
    Serial,
)
from kju.errors import LimitError


class Client:
    closed = False


@contextlib.asynccontextmanager
async def port() -> AsyncIterator[tuple[Serial, socket.socket]]:
    ours, guest = socket.socketpair()
    guest.setblocking(False)
    made = Serial(ours)
    with guest:
        try:
            yield made, guest
        finally:
            made.close()


def view(made: Serial, client: Client | None = None, writes: bool = True) -> socket.socket:
    sock = made.view(client or Client(), writes=writes)  # type: ignore[arg-type]
    sock.setblocking(False)
    return sock


async def read(sock: socket.socket, count: int) -> bytes:
    loop, data = asyncio.get_running_loop(), b""
    async with asyncio.timeout(10):
        while len(data) < count:
            part = await loop.sock_recv(sock, 65536)
            if not part:
                break
            data += part
    return data


async def test_late_reader_receives_the_latest_output() -> None:
    async with port() as (made, guest):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(guest, b"0" * HISTORY + b"hello")
        await until_async(lambda: made._past.endswith(b"hello"))
        with view(made) as one, view(made, writes=False) as two:
            for sock in (one, two):
                assert await read(sock, HISTORY) == b"0" * (HISTORY - 5) + b"hello"
            await loop.sock_sendall(guest, b"again")
            assert await read(one, 5) == await read(two, 5) == b"again"


async def test_several_clients_write_and_a_viewer_cannot() -> None:
    async with port() as (made, guest):
        with view(made) as one, view(made) as two, view(made, writes=False) as looker:
            one.send(b"ls\n")
            assert await read(guest, 3) == b"ls\n"
            two.send(b"id\n")
            assert await read(guest, 3) == b"id\n"
            with pytest.raises(BrokenPipeError):
                looker.send(b"rm\n")


async def test_reader_that_does_not_read_is_disconnected() -> None:
    async with port() as (made, guest):
        with view(made) as deaf, view(made) as other:
            loop, said = asyncio.get_running_loop(), b""
            while made.viewers == 2:
                await loop.sock_sendall(guest, b"x" * 65536)
                said += await read(other, 65536)
                assert len(said) < 2 * MAX_UNREAD
            assert len(await read(deaf, 1 << 30)) <= MAX_UNREAD, "it is disconnected"


async def test_writers_wait_for_the_guest_and_no_byte_is_lost() -> None:
    async with port() as (made, guest):
        with view(made) as writer:
            text = bytes(range(256)) * (1 << 13)
            loop = asyncio.get_running_loop()
            sending = asyncio.create_task(loop.sock_sendall(writer, text))
            await until_async(lambda: made.full)
            assert len(made._to_guest) < MAX_WAITING + serial._CHUNK
            assert not sending.done()
            assert await read(guest, len(text)) == text
            await sending


async def test_view_closes_with_its_client_or_by_itself() -> None:
    async with port() as (made, guest):
        client = Client()
        with view(made, client) as one, view(made) as two, view(made) as three:
            made.leave(client)  # type: ignore[arg-type]
            assert await read(one, 1) == b""
            two.close()
            await until_async(lambda: made.viewers == 1)
            # Half closed, as at the end of a pipe: it still receives.
            three.shutdown(socket.SHUT_WR)
            await asyncio.get_running_loop().sock_sendall(guest, b"x")
            assert await read(three, 1) == b"x" and made.viewers == 1


async def test_end_of_the_guest_closes_every_view() -> None:
    async with port() as (made, guest):
        with view(made) as one:
            guest.send(b"bye")
            guest.close()
            assert await read(one, 4) == b"bye"
            with view(made) as late:
                assert await read(late, 4) == b"bye"


async def test_number_of_views_is_limited() -> None:
    async with port() as (made, _):
        with contextlib.ExitStack() as stack:
            for _ in range(MAX_VIEWERS):
                stack.enter_context(view(made))
            with pytest.raises(LimitError, match="64 viewers"):
                view(made)


async def test_views_of_one_client_are_limited() -> None:
    async with port() as (made, _):
        with contextlib.ExitStack() as stack:
            greedy = Client()
            own = [stack.enter_context(view(made, greedy)) for _ in range(MAX_PER_CLIENT)]
            with pytest.raises(LimitError, match="4 views of the serial port"):
                view(made, greedy)
            stack.enter_context(view(made))
            own[0].close()
            await until_async(lambda: made.viewers == MAX_PER_CLIENT)
            stack.enter_context(view(made, greedy))


async def test_port_between_two_guests_keeps_its_views_and_their_input() -> None:
    loop = asyncio.get_running_loop()
    async with port() as (made, _):
        with view(made) as sock:
            made.detach()
            await loop.sock_sendall(sock, b"early")
            await until_async(lambda: made._to_guest == b"early")
            ours, guest = socket.socketpair()
            guest.setblocking(False)
            with guest:
                made.attach(ours)
                assert await read(guest, 5) == b"early"
                await loop.sock_sendall(guest, b"hello")
                assert await read(sock, 5) == b"hello"
                made.detach()
            # The machine ends before there is another guest.
            made.close()
            assert await read(sock, 1) == b""
