"""From broker to verdict: admit, embed, score, judge, record."""
