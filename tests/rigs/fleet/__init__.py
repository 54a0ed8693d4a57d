"""A thousand stations on one broker and one service: is everything judged, and does memory stay flat?"""
