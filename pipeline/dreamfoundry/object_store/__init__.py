"""A place that keeps bytes: a directory or S3 behind one protocol.

protocol    get, conditional create, compare-and-swap, list
directory   the protocol on a directory
s3          the protocol on S3: the only room with boto3, imported on first use
open        from a URL to one of the two; manifests from S3 to this machine
part_names  which names under a folder or prefix are parts of a table
"""
