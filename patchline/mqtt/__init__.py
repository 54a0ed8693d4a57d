"""The link: one MQTT connection kept alive, the only room that knows paho.

`link.Link` is what other rooms use; `settings` describes it, `delivery` is what comes out of it. Underneath, `epoch` is
one connection from its first byte to its last, `window` bounds what is on the way out, `receipts` orders what is
acknowledged.
"""
