"""The only place with Ray.

session   a quiet Ray: the cluster at RAY_ADDRESS, or a private one
workers   distiller and exporter as actors
nodes     which nodes live and which are about to go: Ray's private calls
job       a run as a Ray job, followed to its true exit code
metrics   what Prometheus sees
"""
