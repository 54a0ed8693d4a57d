"""The link: one MQTT connection kept alive, the only room that knows paho.

`link.Link` is the public class; `settings` describes it and `delivery` holds what it hands over. `session` is one
connection from its first byte to its last, `send_window` bounds what is unacknowledged, `acknowledgement_order` sends
acknowledgements in the order of delivery.
"""
