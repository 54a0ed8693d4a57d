"""From delivery to verdict: open, score, judge, record, reply."""
