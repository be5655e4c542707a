"""What lasts: objects in a directory or on S3, and what the pipeline keeps in them.

objects.py      the protocol: get, conditional create, compare-and-swap, list
directory.py    the protocol on a directory
s3.py           the protocol on S3 (the only file that knows boto3, imported on first use)
locate.py       from a URL to one of the two
outcomes.py     Library: blobs, ONE outcome per asset key, named views
leases.py       who works on which key, with counters that survive everybody
mirror.py       weights of priors that lie on S3
checkpoints.py  the last two of each field in mid-optimisation
"""

from dreamfoundry.store.checkpoints import Checkpoints
from dreamfoundry.store.directory import DirectoryStore
from dreamfoundry.store.leases import Lease, Leases
from dreamfoundry.store.locate import local_copy, open_store
from dreamfoundry.store.objects import ObjectStore
from dreamfoundry.store.outcomes import Library
from dreamfoundry.store.s3 import S3Store

__all__ = [
    "Checkpoints",
    "DirectoryStore",
    "Lease",
    "Leases",
    "Library",
    "ObjectStore",
    "S3Store",
    "local_copy",
    "open_store",
]
