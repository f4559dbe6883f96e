"""
The shop of `fastapi_app`, and a front end for it whose client is made from the shop's document, and pays.

`run.py dev` serves the page with Next.js instead, at http://localhost:3000.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
PORT = int(os.environ.get("SHOP_PORT", "8000"))
SHOP = f"http://127.0.0.1:{PORT}"


def npm(*words: str) -> None:
    program = shutil.which("npm") or sys.exit("npm is missing: it comes with Node.js")
    subprocess.run([program, *words], cwd=HERE, env={**os.environ, "SHOP": SHOP}, check=True)


def wait_for(shop: subprocess.Popen[bytes]) -> None:
    while shop.poll() is None:
        try:
            urllib.request.urlopen(f"{SHOP}/health/live", timeout=5).close()  # noqa: S310 - http, as above
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the shop did not start")


def main(script: str = "pay") -> None:
    if not HERE.joinpath("node_modules").exists():
        npm("install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund")
    with subprocess.Popen([sys.executable, str(HERE.parent / "fastapi_app" / "shop.py")]) as shop:
        try:
            wait_for(shop)
            npm("run", "--silent", "generate", "--", f"{SHOP}/bridge-payment/openapi.json")
            npm("run", "--silent", script, *([] if script == "dev" else ["--", SHOP]))
        except KeyboardInterrupt:
            pass  # how one stops the page
        finally:
            shop.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
