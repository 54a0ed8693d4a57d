"""What moves a part off the line; one file and one line here add a gate."""

from edge_node.gate.gates.gpio import GpioGate
from edge_node.gate.gates.http import HttpGate
from edge_node.gate.gates.log import LogGate
from edge_node.gate.gates.mqtt import MqttGate
from edge_node.gate.gates.protocol import Gate

GATES: dict[str, type[Gate]] = {
    "log": LogGate,
    "mqtt": MqttGate,
    "http": HttpGate,
    "gpio": GpioGate,
}
