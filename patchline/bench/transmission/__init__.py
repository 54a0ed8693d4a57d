"""`patchline bench transmission`: what every way of sending a part costs and what it finds, on a real wire.

The tables of "Towards Scalable IoT Deployment for Visual Anomaly Detection via Efficient Compression", for any one
category.
"""
