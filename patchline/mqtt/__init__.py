"""The MQTT link: one connection that is kept open; the only package that knows paho.

`link.Link` is the public class; `settings` describes it and `delivery` holds what it hands over. `session` is one
connection, `send_window` bounds what is unacknowledged, `delivery` also sends acknowledgements in order.
"""
