"""How the packaged default backbone was made, repeatable."""
