"""The only place with Ray.

session   a quiet Ray: the cluster at RAY_ADDRESS, or a private one
workers   distiller and exporter as actors
nodes     live nodes and draining ones: Ray's private calls
job       a run as a Ray job, followed to its true exit code
metrics   figures for Prometheus
"""
