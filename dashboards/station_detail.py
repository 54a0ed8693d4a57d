"""The dashboard of one station: its camera, its link, its outbox, its gate, and the scores of its parts."""

from dashboards.grafana_model import NO_THRESHOLDS, ONE_IS_GOOD, ZERO_IS_GOOD, Dashboard, Panel, Query, Row

OF = '{station=~"$station"}'
LATENCIES = f"sum by (station, le) (rate(vad_edge_latency_seconds_bucket{OF}[1m]))"
NOT_ENCRYPTED = {0: ("no TLS", "blue")}
YES_IS_GOOD = {1: ("yes", "green"), 0: ("NO", "red")}
YES_IS_BAD = {1: ("YES", "red"), 0: ("no", "green")}


def mean_of(series: str, by: str = "station") -> str:
    """A histogram's mean over the last minute."""
    return f"sum by ({by}) (rate({series}_sum{OF}[1m])) / sum by ({by}) (rate({series}_count{OF}[1m]))"


STATE = Row(
    "State",
    4,
    (
        Panel(
            title="Connected",
            kind="stat",
            queries=[Query(f"vad_edge_connected{OF}", "{{station}}")],
            unit="none",
            description="Whether the live connection to the broker is up.",
            width=4,
            thresholds=ONE_IS_GOOD,
            words=YES_IS_GOOD,
        ),
        Panel(
            title="Capture blocked",
            kind="stat",
            queries=[Query(f"vad_edge_capture_blocked{OF}", "{{station}}")],
            unit="none",
            description="The outbox is full or its disk is failing: parts become drops.",
            width=4,
            thresholds=ZERO_IS_GOOD,
            words=YES_IS_BAD,
        ),
        Panel(
            title="Paused",
            kind="stat",
            queries=[Query(f"vad_edge_paused{OF}", "{{station}}")],
            unit="none",
            description="Somebody's command stopped the capture.",
            width=4,
            thresholds=((None, "green"), (1, "orange")),
            words={1: ("yes", "orange"), 0: ("no", "green")},
        ),
        Panel(
            title="Outbox fill",
            kind="gauge",
            queries=[Query(f"vad_edge_outbox_bytes{OF} / vad_edge_outbox_budget_bytes{OF}", "{{station}}")],
            unit="percentunit",
            description="Bytes of parts that wait, of `outbox.budget_bytes`. At 100 % `outbox.when_full` decides.",
            width=4,
            thresholds=((None, "green"), (0.5, "orange"), (0.75, "red")),
            decimals=1,
        ),
        Panel(
            title="Oldest part without a verdict",
            kind="stat",
            queries=[Query(f"vad_edge_outbox_oldest_age_seconds{OF}", "{{station}}")],
            unit="s",
            description="Seconds are usual. Minutes: something between here and the service stands still.",
            width=4,
            thresholds=((None, "green"), (10, "orange"), (60, "red")),
        ),
        Panel(
            title="Certificate holds for",
            kind="stat",
            queries=[Query(f"min by (station) (vad_edge_certificate_expiry_seconds{OF}) or vector(0)", "{{station}}")],
            unit="s",
            description="Until the first certificate the link depends on expires. 0 where the link is not encrypted.",
            width=4,
            thresholds=((None, "red"), (2592000, "green")),
            words=NOT_ENCRYPTED,
        ),
        Panel(
            title="Profile and codec in use",
            kind="table",
            queries=[Query(f"vad_edge_profile_info{OF}", "{{codec}}")],
            unit="none",
            description="What the station encodes with.",
            width=24,
        ),
    ),
)

PARTS = Row(
    "Parts and gate",
    8,
    (
        Panel(
            title="What the gate was told, a minute",
            kind="timeseries",
            queries=[
                Query(
                    f"sum by (action, grounds) (rate(vad_edge_gate_actions_total{OF}[1m])) * 60",
                    "{{action}} ({{grounds}})",
                ),
                Query(f"sum(increase(vad_edge_gate_failures_total{OF}[5m]))", "failures, 5 min"),
                Query(f"sum(increase(vad_edge_missed_triggers_total{OF}[5m]))", "missed triggers, 5 min"),
            ],
            unit="short",
            description="`deadline`: no verdict in time, the default was taken. `missed`: too late to act. A failure: "
            "the gate did not obey. A missed trigger: the clock told a part while nothing captured.",
            stacked=True,
        ),
        Panel(
            title="Closed by a verdict, a minute",
            kind="timeseries",
            queries=[Query(f"sum by (outcome) (rate(vad_edge_verdicts_total{OF}[1m])) * 60", "{{outcome}}")],
            unit="short",
            description="Verdicts that came back, backlog included.",
            stacked=True,
        ),
        Panel(
            title="Capture to verdict",
            kind="timeseries",
            queries=[
                Query(f"histogram_quantile({share}, {LATENCIES})", f"{name} {{{{station}}}}")
                for share, name in ((0.5, "half"), (0.95, "95 of 100"))
            ]
            + [Query(f"max(vad_edge_gate_deadline_seconds{OF})", "deadline")],
            unit="s",
            description="End to end on the station's own clock.",
        ),
        Panel(
            title="Time in each stage, mean",
            kind="timeseries",
            queries=[Query(mean_of("vad_edge_stage_seconds", "stage"), "{{stage}}")],
            unit="s",
            description="Capture, resize, backbone (feature codecs), encode, keep. All must fit into the takt.",
            stacked=True,
        ),
        Panel(
            title="Payload, bytes a second",
            kind="timeseries",
            queries=[
                Query(f"sum by (station, codec) (rate(vad_edge_payload_bytes_sum{OF}[1m]))", "{{station}} {{codec}}")
            ],
            unit="Bps",
            description="What the uplink must carry, backlog and repeats not counted.",
        ),
        Panel(
            title="Dropped in an hour, by reason",
            kind="timeseries",
            queries=[Query(f"sum by (reason) (increase(vad_edge_drops_total{OF}[1h])) or vector(0)", "{{reason}}")],
            unit="short",
            description="Parts that will never be judged. Zero is good.",
            thresholds=ZERO_IS_GOOD,
        ),
    ),
)

LINK = Row(
    "Link",
    8,
    (
        Panel(
            title="Sent and sent again, a minute",
            kind="timeseries",
            queries=[
                Query(f"sum by (channel) (rate(vad_edge_sends_total{OF}[1m])) * 60", "{{channel}}"),
                Query(f"sum(rate(vad_edge_resends_total{OF}[1m])) * 60", "again"),
            ],
            unit="short",
            description="`backlog`: parts of an outage. Many repeats: verdicts do not come back in time.",
        ),
        Panel(
            title="Refused, damaged, repeated, 5 min",
            kind="timeseries",
            queries=[
                Query(f"sum(increase(vad_edge_refusals_total{OF}[5m]))", "not accepted by the broker"),
                Query(f"sum(increase(vad_edge_damaged_messages_total{OF}[5m]))", "damaged on the way"),
                Query(f"sum(increase(vad_edge_unreadable_deliveries_total{OF}[5m])) or vector(0)", "not understood"),
                Query(f"sum(increase(vad_edge_duplicate_receipts_total{OF}[5m]))", "verdicts for closed parts"),
                Query(f"sum(increase(vad_edge_inbox_overflows_total{OF}[5m]))", "left to their sender"),
                Query(f"vad_edge_outbox_set_aside{OF}", "outbox files set aside {{station}}"),
                Query(f"sum(increase(vad_edge_repeated_triggers_total{OF}[5m]))", "triggers that came again"),
                Query(f"sum(increase(vad_edge_stray_pictures_total{OF}[5m]))", "pictures of no part"),
            ],
            unit="short",
            description="Each is dealt with; many of them tell of a bad link. Zero is good.",
        ),
        Panel(
            title="Waiting",
            kind="timeseries",
            queries=[
                Query(f"vad_edge_outbox_rows{OF}", "outbox {{station}}"),
                Query(f"vad_edge_inbox_deliveries{OF}", "inbox {{station}}"),
            ],
            unit="short",
            description="Parts without a verdict, and deliveries that have not been handled.",
        ),
    ),
)

CAMERA = Row(
    "Camera and scores",
    8,
    (
        Panel(
            title="Brightness and clipped pixels",
            kind="timeseries",
            queries=[
                Query(mean_of("vad_edge_picture_brightness_ratio"), "brightness {{station}}"),
                Query(mean_of("vad_edge_picture_clipped_ratio"), "clipped {{station}}"),
            ],
            unit="percentunit",
            description="Mean grey level, and the share of black or white pixels. A step: light, aperture, dirt.",
        ),
        Panel(
            title="Focus",
            kind="timeseries",
            queries=[Query(mean_of("vad_edge_picture_focus"), "{{station}}")],
            unit="short",
            description="Variance of the Laplacian; only its change means something. Half of usual: look at the lens.",
        ),
        Panel(
            title="Drift of the scores",
            kind="timeseries",
            queries=[
                Query(f"vad_analytics_score_drift_ratio{OF}", "{{station}} {{codec}}"),
                Query(f"vad_analytics_score_drift_limit_ratio{OF}", "what chance explains"),
            ],
            unit="percentunit",
            description="How far the last 200 scores rose above those at commissioning, one-sided Kolmogorov-Smirnov "
            "distance. Above what chance explains: camera, light, product or defect rate changed. From 50 scores on.",
        ),
        Panel(
            title="Scores, as shares of the threshold",
            kind="heatmap",
            queries=[
                Query(f"sum by (le) (increase(vad_analytics_score_ratio_bucket{OF}[$__rate_interval]))", "{{le}}"),
            ],
            unit="short",
            description="Above 100 % a part is anomalous. A band that wanders up: the threshold's margin is going.",
            width=12,
        ),
        Panel(
            title="Processor and memory of the edge node",
            kind="timeseries",
            queries=[
                Query('rate(process_cpu_seconds_total{job="vad_edge", station=~"$station"}[1m])', "cores {{station}}"),
                Query(
                    'process_resident_memory_bytes{job="vad_edge", station=~"$station"} / 1e9',
                    "gigabytes {{station}}",
                ),
            ],
            unit="short",
            description="Cores in use, and gigabytes of memory.",
            width=12,
            thresholds=NO_THRESHOLDS,
        ),
    ),
)

DASHBOARD = Dashboard(
    "patchline-station",
    "patchline: stations",
    "One or more stations: camera, link, outbox, gate, and how their parts score.",
    (STATE, PARTS, LINK, CAMERA),
    by_station=True,
)
