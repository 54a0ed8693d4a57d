"""The dashboard of the whole fleet: is everything up, does the service keep pace, what does the broker report."""

from dashboards.grafana_model import ONE_IS_GOOD, ZERO_IS_GOOD, Dashboard, Panel, Query, Row

NOT_ENCRYPTED = {0: ("no TLS", "blue")}
YES_IS_GOOD = {1: ("yes", "green"), 0: ("NO", "red")}


def increases(names: dict[str, str]) -> list[Query]:
    """What several counters have gained in five minutes, by legend."""
    return [
        Query(f"sum(increase(vad_analytics_{name}_total[5m])) or vector(0)", legend) for legend, name in names.items()
    ]


UP = Row(
    "Up",
    4,
    (
        Panel(
            title="Answers scrapes",
            kind="stat",
            queries=[Query('up{job=~"vad_.*"}', "{{job}} {{station}}")],
            unit="none",
            description="Whether Prometheus reaches the program.",
            width=8,
            thresholds=ONE_IS_GOOD,
            words=YES_IS_GOOD,
        ),
        Panel(
            title="The service's links",
            kind="stat",
            queries=[Query("vad_analytics_connected", "{{link}}")],
            unit="none",
            description="Live parts and historical ones come over a connection each.",
            width=5,
            thresholds=ONE_IS_GOOD,
            words=YES_IS_GOOD,
        ),
        Panel(
            title="Records obey",
            kind="stat",
            queries=[Query("vad_analytics_records_up", "records")],
            unit="none",
            description="Without the database nothing is answered; the stations keep their parts.",
            width=3,
            thresholds=ONE_IS_GOOD,
            words=YES_IS_GOOD,
        ),
        Panel(
            title="First certificate expires in",
            kind="stat",
            queries=[
                Query(
                    "min(vad_edge_certificate_expiry_seconds or vad_analytics_certificate_expiry_seconds) or vector(0)",
                    "first of all",
                ),
            ],
            unit="s",
            description="0 where no link is encrypted. `patchline provision` renews.",
            width=4,
            thresholds=((None, "red"), (2592000, "green")),
            words=NOT_ENCRYPTED,
        ),
        Panel(
            title="Broker drops, 5 min",
            kind="stat",
            queries=[Query("increase(vad_analytics_broker_dropped_messages_total[5m])", "messages")],
            unit="short",
            description="Publications that Mosquitto dropped because a client's queue was full. Parts are sent again; "
            "a screen may miss something. `no data`: the broker does not tell.",
            width=4,
            thresholds=ZERO_IS_GOOD,
            decimals=0,
        ),
        Panel(
            title="Certificates of the links expire in",
            kind="timeseries",
            queries=[
                Query("min by (station, certificate) (vad_edge_certificate_expiry_seconds) or vector(0)",
                      "{{station}} {{certificate}}"),
                Query("min by (certificate) (vad_analytics_certificate_expiry_seconds) or vector(0)",
                      "service {{certificate}}"),
            ],
            unit="s",
            description="By station and kind. 0 where a link is not encrypted.",
            width=12,
            thresholds=((None, "red"), (2592000, "green")),
        ),
        Panel(
            title="Versions that run",
            kind="table",
            queries=[Query("vad_edge_build_info or vad_analytics_build_info", "{{version}}")],
            unit="none",
            description="Of patchline, by program.",
            width=12,
        ),
        Panel(
            title="Artifacts that can judge",
            kind="table",
            queries=[
                Query("vad_analytics_artifact_info", "{{artifact}}"),
                Query("vad_analytics_files_set_aside", "files set aside"),
            ],
            unit="none",
            description="Memory banks the service has loaded, replaced ones in older/ included.",
            width=12,
        ),
    ),
)  # fmt: skip

SERVICE = Row(
    "Analytics service",
    8,
    (
        Panel(
            title="Arrival to verdict",
            kind="timeseries",
            queries=[
                Query(f"histogram_quantile({share}, sum by (le) (rate(vad_analytics_server_seconds_bucket[1m])))", name)
                for share, name in ((0.5, "half"), (0.95, "95 of 100"))
            ]
            + [
                Query(
                    "sum(rate(vad_analytics_record_seconds_sum[1m]))"
                    " / sum(rate(vad_analytics_record_seconds_count[1m]))",
                    "recording, mean",
                )
            ],
            unit="s",
            description="What the service adds to the latency; recording a batch comes on top of arrival to verdict.",
        ),
        Panel(
            title="Time in each stage, mean",
            kind="timeseries",
            queries=[
                Query(
                    "sum by (stage) (rate(vad_analytics_stage_seconds_sum[1m]))"
                    " / sum by (stage) (rate(vad_analytics_stage_seconds_count[1m]))",
                    "{{stage}}",
                )
            ],
            unit="s",
            description="Queue, decode, embed, search, render. Parts of a micro-batch spend it together.",
            stacked=True,
        ),
        Panel(
            title="Waiting for the worker",
            kind="timeseries",
            queries=[
                Query("vad_analytics_queue_parts", "messages"),
                Query("vad_analytics_queue_bytes / 1e6", "megabytes"),
                Query(
                    "sum(rate(vad_analytics_batch_parts_sum[1m])) / sum(rate(vad_analytics_batch_parts_count[1m]))",
                    "in a micro-batch",
                ),
            ],
            unit="short",
            description="A queue that climbs: the service is too slow for its stations: see sizing in the runbook.",
        ),
        Panel(
            title="Repeated, refused, undelivered, 5 min",
            kind="timeseries",
            queries=increases(
                {
                    "came again": "repeats",
                    "withheld in a loop": "withheld",
                    "turned away": "refused",
                    "not accepted by the broker": "undelivered",
                    "records away": "records_errors",
                }
            ),
            unit="short",
            description="`came again` got the stored verdict. `turned away`: the queue was full. Zero is good.",
        ),
        Panel(
            title="Unreadable in an hour, by cause",
            kind="timeseries",
            queries=[
                Query("sum by (code) (increase(vad_analytics_unreadable_total[1h])) or vector(0)", "{{code}}"),
                Query("sum(increase(vad_analytics_dead_letters_total[1h]))", "dead letters"),
            ],
            unit="short",
            description="Damaged, foreign or forged messages; the bytes are kept for repair. Zero is good.",
        ),
        Panel(
            title="Processor and memory",
            kind="timeseries",
            queries=[
                Query('rate(process_cpu_seconds_total{job=~"vad_.*"}[1m])', "cores {{job}} {{station}}"),
                Query('process_resident_memory_bytes{job=~"vad_.*"} / 1e9', "gigabytes {{job}} {{station}}"),
            ],
            unit="short",
            description="Cores in use, and gigabytes of memory, of every program.",
        ),
    ),
)

BROKER = Row(
    "Broker (Mosquitto's own figures)",
    8,
    (
        Panel(
            title="Packets a second",
            kind="timeseries",
            queries=[
                Query("rate(vad_analytics_broker_received_messages_total[1m])", "received"),
                Query("rate(vad_analytics_broker_sent_messages_total[1m])", "sent"),
            ],
            unit="short",
            description="All MQTT packets, acknowledgements and pings too.",
        ),
        Panel(
            title="Bytes a second",
            kind="timeseries",
            queries=[
                Query("rate(vad_analytics_broker_received_bytes_total[1m])", "received"),
                Query("rate(vad_analytics_broker_sent_bytes_total[1m])", "sent"),
            ],
            unit="Bps",
            description="On all connections together.",
        ),
        Panel(
            title="Clients and stored messages",
            kind="timeseries",
            queries=[
                Query("vad_analytics_broker_clients", "clients"),
                Query("vad_analytics_broker_stored_messages", "stored messages"),
                Query("vad_analytics_broker_stored_bytes / 1e6", "stored megabytes"),
            ],
            unit="short",
            description="At most two clients a station, three of the service. Stored: profiles, states, slow readers.",
        ),
    ),
)

DASHBOARD = Dashboard(
    "patchline-fleet",
    "patchline: fleet",
    "Is everything up, does the service keep pace, what does the broker say.",
    (UP, SERVICE, BROKER),
)
