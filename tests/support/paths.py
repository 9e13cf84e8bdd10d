"""Where things lie in the repository."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
BUNDLE = ROOT / "build_model" / "bundles" / "mini-clinc150"
CLINC150 = ROOT / "build_model" / "data" / "clinc150"
