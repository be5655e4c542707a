"""Where prompts become a library on many processes: the only place with Ray.

    build.py         one run from manifest rows to report: plan, drive, publish the projections
    plan.py          rows -> builds: keys, what exists already, what shares a field
    messages.py      the plain values that travel between the driver and its workers
    scheduler.py     pure state machine: events in, commands out
    backlog.py       what waits: builds that have not ended, their fields, the queues
    crew.py          who works: the places for processes and what is in them
    endings.py       how builds end: claimed, charged, quarantined, decided, left to others
    books.py         the figures of a run: counts, steps, seconds
    work.py          one field with its builds, and what is asked about other runs
    limits.py        how long a run waits for what
    driver.py        the loop: carries out commands, feeds answers back
    outcome.py       how a decision is written down
    claims.py        leases around the fields of this run, renewed on a thread of their own
    optimizer.py     prior + slots -> field snapshots in the store      (no Ray)
    checkpointing.py when its fields are saved, and where they go on   (no Ray)
    exporter.py      snapshot -> files -> one outcome                   (no Ray)
    export_child.py  the stages of an export, in a child to be killed   (no Ray)
    local_workers.py both in this process, for debugging                (no Ray)
    ray_workers.py   both as Ray actors
    ray_session.py   a quiet Ray: the cluster at RAY_ADDRESS, or a private one
    nodes.py         which nodes live, which are about to go: Ray's private calls
    progress.py      what a person sees meanwhile
    metrics.py       what Prometheus sees meanwhile
    job.py           a run as a Ray job, followed to its true exit code

Bytes never pass the driver: workers write to the store and answer with keys and numbers. The
store is the only truth; everything that Ray knows may be lost at any moment.
"""
