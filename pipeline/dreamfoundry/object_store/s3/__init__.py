"""The store protocol on S3 and on servers that speak its language: the only room that imports boto3, on first use.

client      the boto3 client of a store
store       the protocol: conditional writes, proven writes, listings
multipart   big objects in parts, of which one is in memory at a time
retry       the same call again, with growing pauses, while its fault may pass
faults      faults of the server: which may pass, and what to do about the others
digests     checksums and etags of what is written
"""
