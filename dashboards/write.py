"""Write everything that is made from code: `python -m dashboards.write`."""

import json
from pathlib import Path

from dashboards import fleet_health, line_overview, metrics_page, settings_page, station_detail
from dashboards.grafana_model import Dashboard

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "dashboards" / "grafana" / "dashboards"
DASHBOARDS: dict[str, Dashboard] = {
    "line": line_overview.DASHBOARD,
    "stations": station_detail.DASHBOARD,
    "fleet": fleet_health.DASHBOARD,
}


def files() -> dict[Path, str]:
    """What belongs into which file."""
    written = {FOLDER / f"{name}.json": json.dumps(one.json(), indent=2) + "\n" for name, one in DASHBOARDS.items()}
    written[ROOT / "docs" / "reference" / "metrics.md"] = metrics_page.page()
    written[ROOT / "docs" / "reference" / "settings.md"] = settings_page.page()
    return written


def main() -> None:
    """Write each file."""
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
