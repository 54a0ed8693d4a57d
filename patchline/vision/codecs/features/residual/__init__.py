"""The codec that sends only a picture's departure from what is normal at each place; see `codec` for the whole of it.

`spectrum` turns feature maps into nearly independent coefficients (`edge_transform` is the same, faster), `classes`
says how large each one usually is, `tables` how often each value then occurs, `order` what is sent in which order, and
`lanes` makes bits of it.
"""
