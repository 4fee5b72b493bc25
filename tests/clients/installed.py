"""Where the clients are that their makers publish, and on which machines there are any."""

import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(__file__).with_name("node_modules")
NODE = ROOT / ".tools" / "bin" / "node"
UPSUN = PACKAGES / "@upsun" / "cli-linux-x64" / "bin" / "upsun"

HAS_UPSUN = sys.platform == "linux" and platform.machine() == "x86_64"
WHY_NO_UPSUN = "the upsun binary is on npm for Linux on x86-64 only"


def present(client: Path) -> Path:
    """The client; where it should be and is not, nothing is skipped."""
    assert client.exists(), f"{client.relative_to(ROOT)} is missing: run make clients"
    return client
