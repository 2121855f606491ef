"""Builds the Python client: python -m clients.build [FOLDER]

The description makes the models and operations; the wheel has them and the hand-written layer.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import django

SOURCE = Path(__file__).parent / "python"
PACKAGE = "order_pipeline_client"


def describe(path: Path) -> None:
    from django.core.management import call_command  # noqa: PLC0415 - after the settings

    call_command("spectacular", "--format", "openapi-json", "--file", str(path))


def build(description: Path, wheels: Path) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "python"
        shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("generated", "__pycache__"))
        _generate(description, source / PACKAGE / "generated")
        wheels.mkdir(parents=True, exist_ok=True)
        _run(
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            wheels,
            source,
        )
    return max(wheels.glob(f"{PACKAGE}-*.whl"), key=lambda wheel: wheel.stat().st_mtime)


def _generate(description: Path, folder: Path) -> None:
    config = folder.parent / "generator.yaml"
    config.write_text("post_hooks: []\n")
    generator = Path(sys.executable).parent / "openapi-python-client"
    _run(
        generator,
        "generate",
        "--path",
        description,
        "--output-path",
        folder,
        "--meta",
        "none",
        "--config",
        config,
    )
    config.unlink()


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    with tempfile.TemporaryDirectory() as scratch:
        described = Path(scratch) / "openapi.json"
        describe(described)
        print(build(described, target))
