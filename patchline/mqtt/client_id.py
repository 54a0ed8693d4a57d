"""A client id that nobody else can take.

MQTT lets a second connection with a client id throw out the first, whoever it is, and no access list is asked. At a
site with certificates every client could so keep a station or the service off the line. With a key of our own the id
therefore ends in something only its holder can know; it stays the same from boot to boot, so that a new connection
still replaces a half-dead one of ours, and its will.
"""

from hashlib import sha256

from patchline.mqtt.settings import TlsSettings

_DIGITS = 16


def client_id_of(name: str, tls: TlsSettings | None) -> str:
    """`name`, with a digest of our private key behind it where there is one.

    A key that cannot be read leaves the bare name; the link itself says what is wrong with the key.
    """
    path = tls and (tls.key or tls.certificate)
    if not path:
        return name
    try:
        secret = path.read_bytes()
    except OSError:
        return name
    return f"{name}-{sha256(b'patchline client id' + secret).hexdigest()[:_DIGITS]}"
