"""What a part can be called: good, or by its defect."""

GOOD = "good"
"""The label of normal parts, and the name of the folder they lie in."""
