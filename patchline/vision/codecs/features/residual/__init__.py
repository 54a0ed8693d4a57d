"""The codec that sends only a picture's departure from what is normal at each place.

`spectrum` turns feature maps into nearly independent coefficients (`edge_transform` does the same, faster), `tables`
says how often each value occurs, `order` what is sent in which order, `rate` chooses the step that fits, and `entropy`
codes the symbols. `picture` puts them together for one picture, `fitting` learns the tables, `codec` is the whole.
"""
