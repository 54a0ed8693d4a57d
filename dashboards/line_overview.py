"""For the shift leader: does the line run, how much is rejected, is anything late, is anything lost."""

from dashboards.grafana_model import NO_THRESHOLDS, ONE_IS_GOOD, ZERO_IS_GOOD, Dashboard, Panel, Query, Row

REJECTED = 'sum(rate(vad_edge_gate_actions_total{action="reject"}[5m])) / sum(rate(vad_edge_gate_actions_total[5m]))'
P95 = "histogram_quantile(0.95, sum by (le) (rate(vad_edge_latency_seconds_bucket[5m])))"
SHARES = ((None, "green"), (0.1, "orange"), (0.3, "red"))

NOW = Row(
    "Now",
    4,
    (
        Panel(
            title="Alarms",
            kind="stat",
            queries=[Query('count(ALERTS{alertstate="firing"}) or vector(0)', "alarms")],
            unit="short",
            description="Alarms that are firing. docs/how-to/alarms.md explains each one and its first action.",
            width=3,
            thresholds=ZERO_IS_GOOD,
        ),
        Panel(
            title="Unaccounted for: must read 0",
            kind="stat",
            queries=[Query("sum(vad_analytics_unaccounted_parts)", "parts")],
            unit="short",
            description="Numbers of parts missing between two on record: neither judged, dropped with a reason, nor "
            "waiting at the edge. Anything but 0 is a loss; `no data` means that nobody counts.",
            width=5,
            thresholds=ZERO_IS_GOOD,
        ),
        Panel(
            title="Late, 5 min: must read 0",
            kind="stat",
            queries=[Query('sum(increase(vad_edge_gate_actions_total{grounds="deadline"}[5m])) or vector(0)', "parts")],
            unit="short",
            description="Parts whose verdict was not there at the deadline; the gate took its default (reject).",
            width=4,
            thresholds=ZERO_IS_GOOD,
            decimals=0,
        ),
        Panel(
            title="Parts a minute",
            kind="stat",
            queries=[Query("sum(rate(vad_edge_parts_total[1m])) * 60", "parts")],
            unit="short",
            description="Triggers of all stations.",
            width=3,
            thresholds=((None, "blue"),),
            decimals=0,
        ),
        Panel(
            title="Rejected, 5 min",
            kind="stat",
            queries=[Query(REJECTED, "share")],
            unit="percentunit",
            description="Share of parts that the gates threw out, late ones among them.",
            width=3,
            thresholds=SHARES,
            decimals=1,
        ),
        Panel(
            title="Latency of the deadline",
            kind="gauge",
            queries=[Query(f"{P95} / min(vad_edge_gate_deadline_seconds)", "p95")],
            unit="percentunit",
            description="95 of 100 verdicts come within this share of the shortest deadline. Above 80 % it gets tight.",
            width=3,
            thresholds=((None, "green"), (0.8, "orange"), (1, "red")),
            decimals=0,
        ),
        Panel(
            title="Stations online",
            kind="stat",
            queries=[Query("sum(vad_edge_connected) / count(vad_edge_connected)", "share")],
            unit="percentunit",
            description="Stations connected to the broker. The others keep their parts on disk and send them later.",
            width=3,
            thresholds=ONE_IS_GOOD,
            decimals=0,
        ),
    ),
)

TREND = Row(
    "The last half hour",
    8,
    (
        Panel(
            title="Verdicts a minute",
            kind="timeseries",
            queries=[Query("sum by (outcome) (rate(vad_analytics_verdicts_total[1m])) * 60", "{{outcome}}")],
            unit="short",
            description="`uncalibrated`: a score without a threshold; `unreadable`: damaged or foreign bytes.",
            stacked=True,
        ),
        Panel(
            title="Rejected by the gate, by station",
            kind="timeseries",
            queries=[
                Query(
                    'sum by (station) (rate(vad_edge_gate_actions_total{action="reject"}[5m]))'
                    " / sum by (station) (rate(vad_edge_gate_actions_total[5m]))",
                    "{{station}}",
                )
            ],
            unit="percentunit",
            description="One station alone above the others: its camera, its light, or a real defect upstream.",
            thresholds=SHARES,
        ),
        Panel(
            title="Capture to verdict, deadline and takt",
            kind="timeseries",
            queries=[
                Query("histogram_quantile(0.5, sum by (le) (rate(vad_edge_latency_seconds_bucket[1m])))", "half"),
                Query("histogram_quantile(0.95, sum by (le) (rate(vad_edge_latency_seconds_bucket[1m])))", "95 of 100"),
                Query("min(vad_edge_gate_deadline_seconds)", "deadline"),
                Query("min(1 / (rate(vad_edge_parts_total[1m]) > 0))", "shortest takt"),
            ],
            unit="s",
            description="End to end on the station's own clock. The 95 of 100 must stay below the deadline.",
        ),
        Panel(
            title="Payload a part, by codec",
            kind="timeseries",
            queries=[
                Query(
                    "sum by (codec) (rate(vad_edge_payload_bytes_sum[1m]))"
                    " / sum by (codec) (rate(vad_edge_payload_bytes_count[1m]))",
                    "{{codec}} sent",
                ),
                Query(
                    "sum by (codec) (rate(vad_analytics_payload_bytes_sum[1m]))"
                    " / sum by (codec) (rate(vad_analytics_payload_bytes_count[1m]))",
                    "{{codec}} judged",
                ),
            ],
            unit="bytes",
            description="Mean size of an encoded picture, as sent and as judged; apart while a backlog is coming in.",
        ),
        Panel(
            title="Waiting for their verdict",
            kind="timeseries",
            queries=[Query("sum by (station) (vad_edge_outbox_rows)", "{{station}}")],
            unit="short",
            description="Parts in each station's outbox. A few are on their way; a line that climbs: link, broker or "
            "service is down. Nothing is lost while it climbs.",
        ),
        Panel(
            title="Dropped in an hour, by reason",
            kind="timeseries",
            queries=[
                Query(
                    "sum by (reason) (increase(vad_edge_drops_total[1h])) or vector(0)", "{{reason}} told by stations"
                ),
                Query("sum by (reason) (increase(vad_analytics_drops_total[1h])) or vector(0)", "{{reason}} on record"),
            ],
            unit="short",
            description="Parts that will never be judged, each with its reason. Zero is good.",
            thresholds=ZERO_IS_GOOD,
        ),
        Panel(
            title="Produced and accounted for, 15 min",
            kind="timeseries",
            queries=[
                Query("sum(increase(vad_edge_parts_total[15m]))", "produced"),
                Query("sum(increase(vad_edge_verdicts_total[15m]))", "judged"),
                Query("sum(increase(vad_edge_drops_total[15m])) or vector(0)", "dropped"),
                Query("sum(vad_edge_outbox_rows)", "waiting now"),
            ],
            unit="short",
            description="Produced = judged + dropped + what more is waiting than 15 minutes ago.",
            width=12,
            thresholds=NO_THRESHOLDS,
        ),
        Panel(
            title="Unaccounted for, by station: must read 0",
            kind="timeseries",
            queries=[Query("max by (station) (vad_analytics_unaccounted_parts)", "{{station}}")],
            unit="short",
            description="See above; which station's parts are missing. `patchline audit` names their numbers.",
            width=12,
            thresholds=ZERO_IS_GOOD,
        ),
    ),
)

DASHBOARD = Dashboard(
    "patchline-line",
    "patchline: the line",
    "Does the line run, how much is rejected, is anything late, is anything lost.",
    (NOW, TREND),
)
