"""``make audit``: known vulnerabilities among the pinned packages, asked of the Python advisory database by pip-audit.

Exit code 0 when there is none; 1 when there is one; 2 when nothing could be asked: that is no clean bill.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "constraints.txt"
EXIT_CLEAN, EXIT_VULNERABLE, EXIT_NOT_AUDITED = 0, 1, 2


def main() -> int:
    """Audits the pins; returns the exit code."""
    if importlib.util.find_spec("pip_audit") is None:
        print(f"NOT AUDITED: {sys.executable} has no pip_audit; pip install -r requirements-dev.txt")
        return EXIT_NOT_AUDITED
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--format", "json", "-r", str(PINS)]
    result = subprocess.run(command, capture_output=True, text=True)
    try:
        packages = json.loads(result.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        reason = (result.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"NOT AUDITED: the advisory database could not be asked ({reason})")
        return EXIT_NOT_AUDITED
    return tell(packages)


def tell(packages: list[dict[str, object]]) -> int:
    """Prints what pip-audit found; returns the exit code.

    Args:
        packages: its ``dependencies``: a name with either ``vulns`` or ``skip_reason``.
    """
    skipped = [str(package["name"]) for package in packages if "skip_reason" in package]
    asked = len(packages) - len(skipped)
    if not asked:
        print(f"NOT AUDITED: the advisory database knew none of {len(packages)} packages (is it reached at all?)")
        return EXIT_NOT_AUDITED
    found = [(package, one) for package in packages for one in package.get("vulns", [])]  # type: ignore[attr-defined]
    for package, one in found:
        fix = ", ".join(one["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {one['id']}, fixed in {fix}")
    print(f"{asked} of {len(packages)} pinned packages audited, {len(found)} known vulnerabilities")
    if skipped:
        print(f"not in the database: {', '.join(skipped)}")
    return EXIT_VULNERABLE if found else EXIT_CLEAN


if __name__ == "__main__":
    sys.exit(main())
