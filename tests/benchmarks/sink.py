"""A subscriber that takes everything at once: prints its port, counts, and answers 204. Or never answers."""

from __future__ import annotations

import asyncio
import sys

from listen import listen

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


async def main(*, silent: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                _, found, rest = head.partition(b"content-length:")
                if found:
                    await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
                if silent:
                    await asyncio.sleep(3600)
                writer.write(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listening = listen()
    server = await asyncio.start_server(serve, sock=listening)
    print(listening.getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(silent="silent" in sys.argv))
